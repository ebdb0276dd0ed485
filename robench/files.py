"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

__all__ = ["write_atomically", "writer_of"]

_TEMPORARY = re.compile(r"\..+\.(\d+)-[0-9a-f]{8}")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, even if the machine dies.

    Folders on the way are made; the file gets the rights that new files get.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def writer_of(path: Path) -> int | None:
    """The process that writes, or wrote, a file that is not there whole yet; else `None`.

    >>> writer_of(Path("cells/ab/.abc.json.4711-00ff00ff"))
    4711
    """
    found = _TEMPORARY.fullmatch(path.name)
    return int(found[1]) if found else None

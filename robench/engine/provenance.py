"""Where, when and by which version a cell was done: recorded, never hashed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

__all__ = ["provenance"]


def provenance(started: datetime, wall_s: float) -> dict[str, JsonValue]:
    """What is known of this process and machine.

    Args:
        started: when the cell began.
        wall_s: how long it took.
    """
    import resource

    import robench
    from robench.measure.machine import fingerprint

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return {
        "robench": robench.__version__,
        "commit": _commit(),
        "machine": fingerprint(),
        "started": started.isoformat(timespec="seconds"),
        "wall_s": round(wall_s, 4),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "process": os.getpid(),
    }


@lru_cache(maxsize=1)
def _commit() -> str | None:
    """The commit that robench runs from, marked where it was changed; `None` if it is installed."""
    checkout = Path(__file__).parents[2]
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    command = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    command.append("--exclude=*")  # no tag in place of the hash
    try:
        done = subprocess.run(  # noqa: S603 - nothing in the command comes from a user
            command, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

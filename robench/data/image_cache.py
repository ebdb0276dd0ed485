"""Decoded images on disk, so that a large archive is decoded once and not once a process."""

import logging
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

__all__ = ["Pictures", "cached"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Pictures:
    """A whole image folder, decoded.

    Args:
        images: uint8 [N, C, H, W]: first those of ``train/``, then ``validation/``, ``test/``.
        labels: int64 [N].
        classes: names of the classes.
        train: how many images are in ``train/``; `None` where the folder has no splits.
        validation: how many images are in ``validation/``.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    train: int | None
    validation: int


def cached(key: str, decode: Callable[[], Pictures]) -> Pictures:
    """What `decode` gives, from the cache where it is in it.

    Args:
        key: names everything that the pictures depend on.
        decode: makes them.
    """
    file = platformdirs.user_cache_path("robench") / "images" / f"{key}.npz"
    pictures = _read(file)
    if pictures is None:
        pictures = decode()
        _write(file, pictures)
    return pictures


def _read(file: Path) -> Pictures | None:
    """The pictures in a cache file; `None` if there are none or they are damaged."""
    try:
        # The format has a checksum for each array, which reading compares.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            train, validation = map(int, arrays["counts"])
            pictures = Pictures(
                images=arrays["images"],
                labels=arrays["labels"],
                classes=tuple(map(str, arrays["classes"])),
                train=train if train >= 0 else None,
                validation=validation,
            )
    except FileNotFoundError:
        return None
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        _log.warning("decoding again, since %s is damaged: %s", file, error)
        return None
    return pictures


def _write(file: Path, pictures: Pictures) -> None:
    """Write under another name and rename; a cache that cannot be written is only slower."""
    temporary: Path | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=file.parent, prefix=f".{file.stem}.", suffix=".npz", delete=False
        ) as unfinished:
            temporary = Path(unfinished.name)
            np.savez(
                unfinished,
                images=pictures.images,
                labels=pictures.labels,
                classes=np.array(pictures.classes, dtype=np.str_),
                counts=np.array(
                    [-1 if pictures.train is None else pictures.train, pictures.validation]
                ),
            )
        temporary.replace(file)
    except OSError as error:
        _log.warning("decoded images are not kept, since %s cannot be written: %s", file, error)
        if temporary is not None:
            temporary.unlink(missing_ok=True)

"""Small trees of images, made anew for each test, and a cache of each test's own."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import platformdirs
import pytest
from PIL import Image

Tree: TypeAlias = Callable[..., Path]


@pytest.fixture(autouse=True)
def image_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where decoded images are kept: the user's own cache is left alone."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_: tmp_path / "cache")
    return tmp_path / "cache" / "images"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes ``{"train/cat": 3, …}``: so many random images in each folder, no two alike."""

    def write(
        counts: Mapping[str, int], *, size: tuple[int, int] = (6, 6), suffix: str = ".png"
    ) -> Path:
        top = tmp_path / "pictures"
        generator = np.random.default_rng(0)
        for folder, count in counts.items():
            (top / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(top / folder / f"{number:03}{suffix}")
        return top

    return write


@pytest.fixture
def as_tar() -> Callable[[Path], Path]:
    """Packs a folder into a .tar.gz beside it, in an order that is not sorted."""

    def pack(top: Path) -> Path:
        archive = top.with_suffix(".tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            for path in sorted(top.rglob("*"), reverse=True):
                tar.add(path, arcname=path.relative_to(top), recursive=False)
        return archive

    return pack


@pytest.fixture
def as_zip() -> Callable[[Path], Path]:
    """Packs a folder into a .zip beside it."""

    def pack(top: Path) -> Path:
        archive = top.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w") as packed:
            for path in sorted(top.rglob("*")):
                packed.write(path, arcname=path.relative_to(top))
        return archive

    return pack

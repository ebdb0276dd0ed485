"""Ready-made corrupted images: the files of CIFAR-10-C, CIFAR-100-C, MNIST-C and ImageNet-C.

They are read where the user has them and never made here: images that are corrupted anew differ
from them, and so do the errors on them. Their layouts:

* ``CIFAR-10-C/<kind>.npy``, uint8 [50000, 32, 32, 3]: the test set in its own order at severity 1,
  then at severity 2, …; beside them ``labels.npy`` (Hendrycks and Dietterich 2019, arXiv
  1903.12261);
* ``mnist_c/<kind>/test_images.npy``, uint8 [10000, 28, 28, 1], with ``test_labels.npy``: one
  strength for each kind (Mu and Gilmer 2019, arXiv 1906.02337);
* ``ImageNet-C/<kind>/<severity>/<class>/<image>.JPEG``, where a folder such as ``noise`` may stand
  around the kinds.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL import Image

from robench.data.base import Data, Split
from robench.data.sixteen_classes import CATEGORY_OF
from robench.data.splits import stratified_order
from robench.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CorruptedFiles", "corrupted_files"]

_FINGERPRINT_BYTES = 1 << 20


class CorruptedFiles(ABC):
    """The files of one published set.

    Args:
        folder: where they lie.
    """

    name: ClassVar[str]
    """As it is published."""
    folder_name: ClassVar[str]
    """What the folder is called once the published archive is unpacked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """The kinds whose files are there, in robench's spelling, sorted."""

    @abstractmethod
    def severities(self) -> tuple[int, ...]:
        """1 to 5; 0 alone where a kind has one strength."""

    @abstractmethod
    def load(self, kind: str, severity: int, data: Data, samples: int | None, /) -> Split:
        """The images of one kind at one severity, the same ones for every kind.

        Args:
            kind: one of `kinds`.
            severity: one of `severities`.
            data: the data set whose test set was corrupted.
            samples: how many images at most; `None` means all.

        Raises:
            DataError: files that are missing, damaged, or of another data set.
        """

    def fingerprint(self) -> str:
        """Hexadecimal hash over names, sizes and beginnings of the files.

        There are gigabytes of them, which every start of a run would have to read.
        """
        digest = hashlib.sha256()
        for file in self._telling_files():
            with file.open("rb") as opened:
                beginning = opened.read(_FINGERPRINT_BYTES)
            name = file.relative_to(self.folder).as_posix()
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            digest.update(beginning)
        return digest.hexdigest()[:32]

    @abstractmethod
    def _telling_files(self) -> list[Path]: ...


class _Cifar(CorruptedFiles):
    def kinds(self) -> tuple[str, ...]:
        files = sorted(self.folder.glob("*.npy"))
        return tuple(_ours(file.stem) for file in files if file.stem != "labels")

    def severities(self) -> tuple[int, ...]:
        return (1, 2, 3, 4, 5)

    def load(self, kind: str, severity: int, data: Data, samples: int | None, /) -> Split:
        test = data.test.first(samples)
        images = _array(self.folder / f"{_theirs(kind)}.npy", 4)
        labels = _array(self.folder / "labels.npy", 1)
        count, left = divmod(len(images), len(self.severities()))
        if left or len(labels) not in (count, len(images)):
            raise DataError(
                f"{len(images)} images and {len(labels)} labels are not five severities",
                where=str(self.folder),
                hint="fetch the archive again",
            )
        rows = _rows(test, count, data, self)
        shown = images[(severity - 1) * count + rows].transpose(0, 3, 1, 2)
        return _checked(shown, labels[rows], test, data, self)

    def _telling_files(self) -> list[Path]:
        return sorted(self.folder.glob("*.npy"))


class _Cifar10(_Cifar):
    name = folder_name = "CIFAR-10-C"


class _Cifar100(_Cifar):
    name = folder_name = "CIFAR-100-C"


class _Mnist(CorruptedFiles):
    name = "MNIST-C"
    folder_name = "mnist_c"

    def kinds(self) -> tuple[str, ...]:
        folders = sorted(file.parent.name for file in self.folder.glob("*/test_images.npy"))
        return tuple(_ours(name) for name in folders)

    def severities(self) -> tuple[int, ...]:
        return (0,)

    def load(self, kind: str, _severity: int, data: Data, samples: int | None, /) -> Split:
        test = data.test.first(samples)
        folder = self.folder / _theirs(kind)
        images = _array(folder / "test_images.npy", 4)
        labels = _array(folder / "test_labels.npy", 1)
        rows = _rows(test, len(images), data, self)
        return _checked(images[rows].transpose(0, 3, 1, 2), labels[rows], test, data, self)

    def _telling_files(self) -> list[Path]:
        return sorted(self.folder.glob("*/test_*.npy"))


class _ImageNet(CorruptedFiles):
    name = folder_name = "ImageNet-C"

    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted(_ours(folder.parent.name) for folder in self._folders()))

    def severities(self) -> tuple[int, ...]:
        return (1, 2, 3, 4, 5)

    def load(self, kind: str, severity: int, data: Data, samples: int | None, /) -> Split:
        (around,) = [f.parent for f in self._folders() if f.parent.name == _theirs(kind)]
        folder = around / str(severity)
        files, labels = self._files(folder, data)
        order = stratified_order(labels, "ImageNet-C")[:samples]
        images = np.stack([_picture(files[place], data.input_shape) for place in order])
        index = torch.from_numpy(order)
        return Split(torch.from_numpy(images), torch.from_numpy(labels[order]), index)

    def _files(self, folder: Path, data: Data) -> tuple[list[Path], NDArray[np.int64]]:
        """Files with the classes of the data set, by WordNet id or one of the 16 categories."""
        place = {name: number for number, name in enumerate(data.classes)}
        found: list[tuple[Path, int]] = []
        for of_class in sorted(folder.iterdir() if folder.is_dir() else ()):
            name = of_class.name
            if data.name == "16-class-imagenet":
                name = CATEGORY_OF.get(name, "")
            label = place.get(name)
            if label is not None:
                found += [(file, label) for file in sorted(of_class.glob("*.JPEG"))]
        labels = np.array([label for _, label in found], dtype=np.int64)
        if len(np.unique(labels)) < len(data.classes):
            raise DataError(
                f"{self.name} has images for {len(np.unique(labels))} of the "
                f"{len(data.classes)} classes of {data.name}",
                where=str(folder),
                allowed="data whose classes are ImageNet's, by WordNet id, or 16-class-imagenet",
            )
        return [file for file, _ in found], labels

    def _folders(self) -> list[Path]:
        return sorted({*self.folder.glob("*/1"), *self.folder.glob("*/*/1")})

    def _telling_files(self) -> list[Path]:
        classes = (min(folder.iterdir()) for folder in self._folders())
        return [file for folder in classes for file in sorted(folder.glob("*.JPEG"))[:8]]


_SETS: tuple[tuple[str, type[CorruptedFiles]], ...] = (
    ("cifar10", _Cifar10),
    ("cifar100", _Cifar100),
    ("mnist", _Mnist),
    ("image-folder", _ImageNet),
    ("16-class-imagenet", _ImageNet),
)


def corrupted_files(data: str, root: Path, path: str | None = None) -> CorruptedFiles:
    """The published corrupted images of a data set.

    Args:
        data: name of the data set.
        root: the folder of data sets, where they are looked for under their published name.
        path: the folder itself; a relative one starts at `root`.

    Raises:
        DataError: nothing is published for this data set, or the folder is not there or empty.
    """
    by_name = dict(_SETS)
    if data not in by_name:
        raise DataError(
            f"there are no ready-made corrupted images of {data!r}",
            allowed=sorted(by_name),
            hint="images: generated corrupts the test images of any data set",
        )
    kind = by_name[data]
    folder = root / (Path(path).expanduser() if path is not None else kind.folder_name)
    files = kind(folder)
    if not folder.is_dir() or not files.kinds():
        raise DataError(
            f"{kind.name} is not there",
            where=str(folder),
            hint=f"unpack its archive there, or name its folder by `path`; it holds "
            f"{kind.folder_name} as published",
        )
    return files


def _ours(name: str) -> str:
    return name.replace("_", "-")


def _theirs(kind: str) -> str:
    return kind.replace("-", "_")


def _array(file: Path, dimensions: int) -> NDArray[Any]:
    """A mapped array, so that only the rows that are asked for are read."""
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{file.name} cannot be read: {error}", where=str(file), hint="fetch it again"
        ) from error
    if array.ndim != dimensions or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"{file.name} holds {array.dtype} of shape {array.shape}",
            where=str(file),
            allowed=f"whole numbers in {dimensions} dimensions",
        )
    return array


def _rows(test: Split, count: int, data: Data, files: CorruptedFiles) -> NDArray[np.int64]:
    """Where the test images stand in the official test set, the last `count` of the data set."""
    first = int(data.test.index.min())
    if len(data.test) != count:
        raise DataError(
            f"{files.name} has {count} images for the {len(data.test)} of {data.name}'s test set",
            where=str(files.folder),
        )
    return test.index.numpy() - first


def _checked(
    images: NDArray[Any], labels: NDArray[Any], test: Split, data: Data, files: CorruptedFiles
) -> Split:
    if images.shape[1:] != data.input_shape or images.dtype != np.uint8:
        raise DataError(
            f"{files.name} has {images.dtype} images of shape {images.shape[1:]}",
            where=str(files.folder),
            allowed=f"uint8 images of shape {data.input_shape}, as {data.name} has",
        )
    if not np.array_equal(labels, test.labels.numpy()):
        raise DataError(
            f"the labels of {files.name} are not those of {data.name}'s test set",
            where=str(files.folder),
            hint="the files are damaged, or of another data set",
        )
    return Split(torch.from_numpy(np.ascontiguousarray(images)), test.labels, test.index)


def _picture(file: Path, shape: Sequence[int]) -> NDArray[np.uint8]:
    """One JPEG file as uint8 [3, H, W]."""
    try:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{file.name} cannot be read: {error}", where=str(file)) from error
    if pixels.shape != tuple(shape):
        raise DataError(
            f"{file.name} has the shape {pixels.shape}, and the data set {tuple(shape)}",
            where=str(file),
            hint="load the data set at 224 pixels: `size: 224`",
        )
    return pixels

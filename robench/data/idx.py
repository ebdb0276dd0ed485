"""Data sets in MNIST's idx files, fetched by torchvision."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from robench._torchvision import import_torchvision
from robench.data.assembly import TrainingSubset, assemble
from robench.data.base import Data, Dataset
from robench.data.splits import official_split
from robench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

__all__ = ["IdxDataset"]

_log = logging.getLogger(__name__)
_PARTS = ("train", "t10k")


class IdxDataset(Dataset):
    """Base of MNIST and the data sets made in its image: `folder` and `classes` differ."""

    folder: ClassVar[str]
    """Name of torchvision's class, and of the folder below the data root."""
    classes: ClassVar[tuple[str, ...]]
    Params = TrainingSubset

    def load(self, root: Path, /) -> Data:
        """Images uint8 [N, 1, 28, 28]; the official test set, and 10 % of the training set.

        Fetches the files if they are not there.
        """
        raw = root / self.folder / "raw"
        files = {
            (part, what): raw / f"{part}-{what}-ubyte"
            for part in _PARTS
            for what in ("images-idx3", "labels-idx1")
        }
        if not all(file.is_file() for file in files.values()):
            self._fetch(root, raw, [file.name for file in files.values()])
        reader = import_torchvision().datasets.mnist
        images = [_read(files[part, "images-idx3"], reader.read_image_file) for part in _PARTS]
        labels = [_read(files[part, "labels-idx1"], reader.read_label_file) for part in _PARTS]
        for part, of_images, of_labels in zip(_PARTS, images, labels, strict=True):
            self._check(files[part, "labels-idx1"], of_images, of_labels)
        all_labels = np.concatenate([part.numpy() for part in labels])
        return assemble(
            self.name,
            classes=self.classes,
            inputs=np.concatenate([part.numpy() for part in images])[:, np.newaxis],
            labels=all_labels,
            splits=official_split(all_labels, self.name, train=len(labels[0])),
            subset=self.params.subset,
        )

    def _fetch(self, root: Path, raw: Path, names: list[str]) -> None:
        _log.info("fetching %s into %s", self.name, raw)
        try:
            getattr(import_torchvision().datasets, self.folder)(root, download=True)
        except (OSError, RuntimeError) as error:
            with suppress(OSError):  # leave no empty folders behind
                raw.rmdir()
                raw.parent.rmdir()
            raise DataError(
                f"{self.name} is not there, and cannot be fetched: {error}",
                where=str(raw),
                allowed=f"the files {', '.join(names)}",
                hint="put the files there, or name the folder that holds "
                f"{self.folder}/raw by --data or ROBENCH_DATA",
            ) from error

    def _check(self, file: Path, images: Tensor, labels: Tensor) -> None:
        if len(labels) != len(images):
            raise DataError(
                f"{file.name} has {len(labels)} labels for {len(images)} images", where=str(file)
            )
        if not len(labels) or int(labels.max()) >= len(self.classes):
            raise DataError(
                f"{file.name} has labels that are no class of {self.name}",
                where=str(file),
                allowed=f"0 to {len(self.classes) - 1}",
            )


def _read(file: Path, reader: Callable[[str], Tensor]) -> Tensor:
    try:
        return reader(str(file))
    except (AssertionError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(
            f"{file.name} is damaged, or no idx file: {error}",
            where=str(file),
            hint="delete it, and it is fetched anew",
        ) from error

"""The CIFAR data sets, fetched and read by torchvision.

Their files are pickles. torchvision compares each with the MD5 sum of the official file before it
opens it, so that no other pickle is ever read.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robench._torchvision import import_torchvision
from robench.data.assembly import TrainingSubset, assemble
from robench.data.base import Data, Dataset
from robench.data.splits import official_split
from robench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CifarDataset"]

_log = logging.getLogger(__name__)


class CifarDataset(Dataset):
    """Base of CIFAR-10 and CIFAR-100: they differ in `reader`, the name of torchvision's class."""

    reader: ClassVar[str]
    Params = TrainingSubset

    def load(self, root: Path, /) -> Data:
        """Images uint8 [N, 3, 32, 32]; the official test set, and 10 % of the training set.

        Fetches the files if they are not there.
        """
        reader: Any = getattr(import_torchvision().datasets, self.reader)
        self._check_files(reader, root / reader.base_folder)
        training = self._read(reader, root, train=True)
        test = self._read(reader, root, train=False)
        labels = np.array([*training.targets, *test.targets], dtype=np.int64)
        pixels = np.concatenate([training.data, test.data])
        return assemble(
            self.name,
            classes=training.classes,
            inputs=pixels.transpose(0, 3, 1, 2),
            labels=labels,
            splits=official_split(labels, self.name, train=len(training.targets)),
            subset=self.params.subset,
        )

    def _check_files(self, reader: Any, folder: Path) -> None:
        """Damaged files are named, not fetched over: they are somebody's."""
        intact = import_torchvision().datasets.utils.check_integrity
        meta = (reader.meta["filename"], reader.meta["md5"])
        for name, md5 in [*reader.train_list, *reader.test_list, meta]:
            file = folder / name
            if file.is_file() and not intact(str(file), md5):
                raise DataError(
                    f"{name} is damaged, or not the official file of {self.name}",
                    where=str(file),
                    hint="delete it, and it is fetched anew",
                )

    def _read(self, reader: Any, root: Path, *, train: bool) -> Any:
        try:
            with warnings.catch_warnings():
                # NumPy 2.4.0 to 2.4.4 complain about pickles as old as these.
                warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
                try:
                    return reader(root, train=train)
                except RuntimeError:
                    _log.info("fetching %s into %s", self.name, root)
                    return reader(root, train=train, download=True)
        except (OSError, RuntimeError) as error:
            folder = root / reader.base_folder
            raise DataError(
                f"{self.name} is not there, and cannot be fetched: {error}",
                where=str(folder),
                hint=f"put {reader.filename} or what it unpacks to into {root}, or name the "
                f"folder that holds {reader.base_folder} by --data or ROBENCH_DATA",
            ) from error

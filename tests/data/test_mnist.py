"""MNIST: the declaration; how files are read is in test_idx.py."""

from __future__ import annotations

from robench._torchvision import import_torchvision
from robench.data import DATASETS
from robench.data.idx import IdxDataset


def test_classes_are_in_torchvisions_order_and_files_in_its_folder() -> None:
    kind = DATASETS.get("mnist")
    assert issubclass(kind, IdxDataset)
    reader = getattr(import_torchvision().datasets, kind.folder)
    # torchvision numbers its names and writes them with capitals: "0 - zero".
    assert [label.split(" - ")[0] for label in reader.classes] == list(kind.classes)

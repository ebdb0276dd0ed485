"""FashionMNIST: the declaration; how files are read is in test_idx.py."""

from __future__ import annotations

from robench._torchvision import import_torchvision
from robench.data import DATASETS
from robench.data.idx import IdxDataset


def test_classes_are_in_torchvisions_order_and_files_in_its_folder() -> None:
    kind = DATASETS.get("fashion-mnist")
    assert issubclass(kind, IdxDataset)
    reader = getattr(import_torchvision().datasets, kind.folder)
    # torchvision writes "T-shirt/top" and "Trouser".
    theirs = [label.lower().removesuffix("/top") for label in reader.classes]
    assert theirs == [label.removesuffix("s") for label in kind.classes[:2]] + list(
        kind.classes[2:]
    )

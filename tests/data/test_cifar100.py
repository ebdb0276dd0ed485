"""CIFAR100: the declaration; how files are read is in test_cifar.py."""

from __future__ import annotations

from robench._torchvision import import_torchvision
from robench.data import DATASETS
from robench.data.cifar import CifarDataset


def test_it_is_read_by_torchvisions_reader_of_its_name() -> None:
    kind = DATASETS.get("cifar100")
    assert issubclass(kind, CifarDataset)
    assert kind.name == "cifar100"
    reader = getattr(import_torchvision().datasets, kind.reader)
    assert reader.__name__ == "CIFAR100"
    assert reader.base_folder == "cifar-100-python"

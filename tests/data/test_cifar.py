from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from robench._torchvision import import_torchvision
from robench.data import load
from robench.errors import DataError

CLASSES = {"CIFAR10": 10, "CIFAR100": 100}


def write(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small CIFAR in the official form, whose checksums torchvision is told."""
    reader = getattr(import_torchvision().datasets, name)
    folder = root / reader.base_folder
    folder.mkdir()
    generator = np.random.default_rng(0)
    label_key = "labels" if name == "CIFAR10" else "fine_labels"

    def checksum(file: str, content: dict[str, Any]) -> str:
        (folder / file).write_bytes(pickle.dumps(content, protocol=2))
        return hashlib.md5((folder / file).read_bytes(), usedforsecurity=False).hexdigest()

    for list_name in ("train_list", "test_list"):
        listed = []
        for file, _ in getattr(reader, list_name):
            labels = [index % CLASSES[name] for index in range(200)]
            rows = generator.integers(0, 256, (200, 3072), dtype=np.uint8)
            listed.append([file, checksum(file, {"data": rows, label_key: labels})])
        monkeypatch.setattr(reader, list_name, listed)
    names = [f"class {number}" for number in range(CLASSES[name])]
    meta = dict(reader.meta)
    meta["md5"] = checksum(meta["filename"], {meta["key"]: names})
    monkeypatch.setattr(reader, "meta", meta)
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(import_torchvision().datasets.CIFAR10, "download", download)


@pytest.mark.parametrize(
    ("name", "reader", "sizes"),
    [("cifar10", "CIFAR10", [900, 100, 200]), ("cifar100", "CIFAR100", [180, 20, 200])],
)
def test_pixels_and_labels_are_those_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reader: str, sizes: list[int]
) -> None:
    folder = write(tmp_path, reader, monkeypatch)
    data = load(name, root=tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == sizes
    assert data.input_shape == (3, 32, 32)
    assert data.classes[7] == "class 7"
    file = "test_batch" if reader == "CIFAR10" else "test"
    rows = pickle.loads((folder / file).read_bytes(), encoding="latin1")["data"]
    place = data.test.index.numpy() - (sizes[0] + sizes[1])
    assert np.array_equal(data.test.images.numpy(), rows[place].reshape(-1, 3, 32, 32))
    assert np.array_equal(data.test.labels.numpy(), place % CLASSES[reader])


def test_a_damaged_file_is_named_and_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, "CIFAR10", monkeypatch)
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (trap,))

    (folder / "data_batch_3").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError) as caught:
        load("cifar10", root=tmp_path)
    assert str(folder / "data_batch_3") in str(caught.value)
    assert not trap.exists()


def test_what_is_missing_and_cannot_be_fetched_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load("cifar100", root=tmp_path)
    for part in ("no network", str(tmp_path / "cifar-100-python"), "ROBENCH_DATA"):
        assert part in str(caught.value)


def test_what_is_missing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, "CIFAR10", monkeypatch)
    hidden = folder.rename(tmp_path / "elsewhere")
    reader = import_torchvision().datasets.CIFAR10
    monkeypatch.setattr(reader, "download", lambda self: hidden.rename(folder))
    assert len(load("cifar10", root=tmp_path).test) == 200

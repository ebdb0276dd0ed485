from __future__ import annotations

import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from numpy.typing import NDArray

from robench._torchvision import import_torchvision
from robench.data import load
from robench.errors import DataError

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def write_idx(file: Path, array: NDArray[np.uint8]) -> None:
    """The format of LeCun's page: two zeros, the type, the rank, the sizes, the bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    file.write_bytes(header + array.tobytes())


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A small MNIST: 200 training and 50 test images."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 50)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    return folder


@pytest.fixture(autouse=True)
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The roots that torchvision would have fetched into; there is no network here."""
    roots: list[Path] = []

    def download(self: object) -> None:
        folder = Path(self.raw_folder)
        folder.mkdir(parents=True, exist_ok=True)
        roots.append(folder)
        raise URLError("no network")

    monkeypatch.setattr(import_torchvision().datasets.MNIST, "download", download)
    return roots


def test_files_are_read_whole_and_index_counts_through_both(raw: Path, tmp_path: Path) -> None:
    data = load("mnist", root=tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [180, 20, 50]
    assert sorted(data.test.index.tolist()) == list(range(200, 250))
    written = np.frombuffer((raw / NAMES[0]).read_bytes()[16:], dtype=np.uint8)
    images = written.reshape(200, 1, 28, 28)
    for split in (data.train, data.validation):
        assert np.array_equal(split.images.numpy(), images[split.index.numpy()])
        assert np.array_equal(split.labels.numpy(), split.index.numpy() % 10)


def test_a_subset_only_cuts_the_training_split(raw: Path, tmp_path: Path) -> None:
    data = load("mnist", {"subset": 50}, root=tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [50, 20, 50]
    assert data.train.labels.bincount().tolist() == [5] * 10


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keep", [0, 3, 100, -7])
def test_a_cut_off_file_is_named(raw: Path, tmp_path: Path, name: str, keep: int) -> None:
    file = raw / name
    cut = 14 if keep == 100 and "labels" in name else keep
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DataError) as caught:
        load("mnist", root=tmp_path)
    assert str(file) in str(caught.value)


def test_labels_that_do_not_go_with_the_images_are_named(raw: Path, tmp_path: Path) -> None:
    write_idx(raw / NAMES[3], np.zeros(49, dtype=np.uint8))
    with pytest.raises(DataError, match="49 labels for 50 images"):
        load("mnist", root=tmp_path)


def test_labels_beyond_the_classes_are_named(raw: Path, tmp_path: Path) -> None:
    write_idx(raw / NAMES[3], np.full(50, 10, dtype=np.uint8))
    with pytest.raises(DataError, match=f"{NAMES[3]} has labels that are no class of mnist"):
        load("mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")]
)
def test_what_is_missing_and_cannot_be_fetched_is_told(
    tmp_path: Path, fetched: list[Path], name: str, folder: str
) -> None:
    with pytest.raises(DataError) as caught:
        load(name, root=tmp_path)
    for part in ("no network", str(tmp_path / folder / "raw"), NAMES[0], "ROBENCH_DATA"):
        assert part in str(caught.value)
    assert fetched == [tmp_path / folder / "raw"]
    assert not (tmp_path / folder).exists()


def test_what_is_missing_is_fetched(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = raw / NAMES[2]
    content = file.read_bytes()
    file.unlink()
    mnist = import_torchvision().datasets.MNIST
    monkeypatch.setattr(mnist, "download", lambda self: file.write_bytes(content))
    assert len(load("mnist", root=tmp_path).test) == 50


@pytest.mark.data
def test_real_mnist(data_root: Path) -> None:
    data = load("mnist", root=data_root)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [54000, 6000, 10000]
    training = np.concatenate([data.train.images.numpy(), data.validation.images.numpy()])
    # Mean and deviation of all 60,000 training images, as everyone in the field writes them.
    assert training.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert training.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    assert data.mean[0] == pytest.approx(0.1307, abs=5e-4)
    # The first ten labels of the official test set.
    first = data.test.labels[data.test.index.argsort()][:10]
    assert first.tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert data.sha256 == "22451901fead80e6047dfc2fcc577a900a9b253c807da8681cdbc523fee72049"

"""Ready-made files in their published layouts, written small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robench.data.assembly import assemble
from robench.data.base import Data
from robench.data.corrupted import corrupted_files
from robench.data.sixteen_classes import CATEGORIES
from robench.data.splits import official_split
from robench.errors import DataError

TRAIN, TEST = 60, 40


def small(name: str, shape: tuple[int, int, int], classes: tuple[str, ...]) -> Data:
    """A data set with an official test set of 40 images, each of one grey value: its number."""
    count = TRAIN + TEST
    inputs = np.empty((count, *shape), dtype=np.uint8)
    inputs[:] = np.arange(count, dtype=np.uint8)[:, None, None, None]
    labels = np.arange(count) % len(classes)
    splits = official_split(labels, name, train=TRAIN)
    return assemble(name, classes=classes, inputs=inputs, labels=labels, splits=splits)


DIGITS = tuple("0123456789")


@pytest.fixture
def cifar10() -> Data:
    return small("cifar10", (3, 32, 32), DIGITS)


def write_cifar(root: Path, data: Data) -> Path:
    """Each image has, as grey value, its number in the test set plus 50 times the severity."""
    folder = root / "CIFAR-10-C"
    folder.mkdir()
    values = np.concatenate([np.arange(TEST) + 40 * severity for severity in range(1, 6)])
    images = np.empty((len(values), 32, 32, 3), dtype=np.uint8)
    images[:] = values[:, None, None, None]
    for kind in ("fog", "gaussian_noise", "speckle_noise"):
        np.save(folder / f"{kind}.npy", images)
    labels = (np.arange(TRAIN, TRAIN + TEST) % 10).astype(np.uint8)
    np.save(folder / "labels.npy", np.tile(labels, 5))
    return folder


def test_cifar_10_c_in_the_order_of_the_test_split(tmp_path: Path, cifar10: Data) -> None:
    write_cifar(tmp_path, cifar10)
    files = corrupted_files("cifar10", tmp_path)
    assert files.name == "CIFAR-10-C"
    assert files.kinds() == ("fog", "gaussian-noise", "speckle-noise")
    assert files.severities() == (1, 2, 3, 4, 5)
    for severity in (1, 5):
        shown = files.load("gaussian-noise", severity, cifar10, 15)
        want = cifar10.test.first(15)
        assert shown.images.shape == (15, 3, 32, 32)
        assert torch.equal(shown.labels, want.labels)
        assert torch.equal(shown.index, want.index)
        value = want.index - TRAIN + 40 * severity
        assert torch.equal(shown.images[:, 0, 0, 0].long(), value)


def test_labels_may_be_given_once(tmp_path: Path, cifar10: Data) -> None:
    folder = write_cifar(tmp_path, cifar10)
    np.save(folder / "labels.npy", np.load(folder / "labels.npy")[:TEST])
    assert len(corrupted_files("cifar10", tmp_path).load("fog", 2, cifar10, None)) == TEST


def test_a_path_of_ones_own(tmp_path: Path, cifar10: Data) -> None:
    write_cifar(tmp_path, cifar10).rename(tmp_path / "mine")
    assert corrupted_files("cifar10", tmp_path, "mine").kinds()
    assert corrupted_files("cifar10", Path("/nowhere"), str(tmp_path / "mine")).kinds()


def test_the_fingerprint_tells_files_apart(tmp_path: Path, cifar10: Data) -> None:
    folder = write_cifar(tmp_path, cifar10)
    files = corrupted_files("cifar10", tmp_path)
    before = files.fingerprint()
    assert files.fingerprint() == before
    images = np.load(folder / "fog.npy")
    images[0] = 0
    np.save(folder / "fog.npy", images)
    assert files.fingerprint() != before


def test_mnist_c_has_one_strength(tmp_path: Path) -> None:
    data = small("mnist", (1, 28, 28), DIGITS)
    for kind in ("zigzag", "motion_blur", "identity"):
        folder = tmp_path / "mnist_c" / kind
        folder.mkdir(parents=True)
        images = np.empty((TEST, 28, 28, 1), dtype=np.uint8)
        images[:] = np.arange(TEST, dtype=np.uint8)[:, None, None, None]
        np.save(folder / "test_images.npy", images)
        np.save(folder / "test_labels.npy", np.arange(TRAIN, TRAIN + TEST) % 10)
    files = corrupted_files("mnist", tmp_path)
    assert files.kinds() == ("identity", "motion-blur", "zigzag")
    assert files.severities() == (0,)
    shown = files.load("zigzag", 0, data, 7)
    assert torch.equal(shown.images[:, 0, 0, 0].long(), data.test.first(7).index - TRAIN)


def write_imagenet(root: Path, classes: list[str], *, around: str = "") -> Path:
    """Images whose red is the place of their class and whose green is the severity."""
    folder = root / "ImageNet-C"
    for kind in ("fog", "snow"):
        for severity in range(1, 6):
            for place, name in enumerate(classes):
                of_class = folder / around / kind / str(severity) / name
                of_class.mkdir(parents=True)
                for number in range(2):
                    colours = np.zeros((32, 32, 3), dtype=np.uint8)
                    colours[:] = (8 * place, 40 * severity, 90)
                    file = of_class / f"ILSVRC2012_val_{number:08}.JPEG"
                    Image.fromarray(colours).save(file, quality=95, subsampling=0)
    return folder


@pytest.mark.parametrize("around", ["", "weather"])
def test_imagenet_c_by_wordnet_id(tmp_path: Path, around: str) -> None:
    classes = ("n01440764", "n02123394", "n02690373")
    data = small("image-folder", (3, 32, 32), classes)
    write_imagenet(tmp_path, [*classes, "n99999999"], around=around)
    files = corrupted_files("image-folder", tmp_path)
    assert files.kinds() == ("fog", "snow")
    shown = files.load("snow", 4, data, None)
    assert len(shown) == 6
    assert (shown.images[:, 1].float().mean((1, 2)) - 160).abs().max() < 4
    red = shown.images[:, 0].float().mean((1, 2)).div(8).round().long()
    assert torch.equal(red, shown.labels)
    again = files.load("fog", 1, data, 4)
    assert torch.equal(again.index, shown.index[:4])  # the same images for every kind
    assert files.fingerprint() == files.fingerprint()


def test_imagenet_c_in_16_categories(tmp_path: Path) -> None:
    names = tuple(CATEGORIES)
    data = small("16-class-imagenet", (3, 32, 32), names)
    ids = [CATEGORIES[name][-1] for name in names]
    write_imagenet(tmp_path, ids)
    shown = corrupted_files("16-class-imagenet", tmp_path).load("fog", 2, data, None)
    red = shown.images[:, 0].float().mean((1, 2)).div(8).round().long()
    assert torch.equal(red, shown.labels)


def test_what_is_missing_or_wrong(tmp_path: Path, cifar10: Data) -> None:
    with pytest.raises(DataError, match="no ready-made corrupted images of 'digits'"):
        corrupted_files("digits", tmp_path)
    with pytest.raises(DataError, match="CIFAR-10-C is not there") as caught:
        corrupted_files("cifar10", tmp_path)
    assert caught.value.where == str(tmp_path / "CIFAR-10-C")
    folder = write_cifar(tmp_path, cifar10)
    files = corrupted_files("cifar10", tmp_path)
    labels = np.load(folder / "labels.npy")
    np.save(folder / "labels.npy", labels[::-1])
    with pytest.raises(DataError, match="labels of CIFAR-10-C are not those"):
        files.load("fog", 1, cifar10, None)
    np.save(folder / "labels.npy", labels[:7])
    with pytest.raises(DataError, match="not five severities"):
        files.load("fog", 1, cifar10, None)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "fog.npy", np.zeros((200, 28, 28, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"images of shape \(3, 28, 28\)"):
        files.load("fog", 1, cifar10, None)
    np.save(folder / "fog.npy", np.zeros((200, 32, 32), dtype=np.uint8))
    with pytest.raises(DataError, match="whole numbers in 4 dimensions"):
        files.load("fog", 1, cifar10, None)
    (folder / "fog.npy").write_bytes(b"\x93NUMPY damaged")
    with pytest.raises(DataError, match=r"fog\.npy cannot be read"):
        files.load("fog", 1, cifar10, None)
    larger = small("cifar10", (3, 32, 32), DIGITS)
    np.save(folder / "labels.npy", np.zeros(250, dtype=np.uint8))
    np.save(folder / "fog.npy", np.zeros((250, 32, 32, 3), dtype=np.uint8))
    with pytest.raises(DataError, match="50 images for the 40"):
        files.load("fog", 1, larger, None)


def test_imagenet_c_without_the_classes_or_at_another_size(tmp_path: Path) -> None:
    write_imagenet(tmp_path, ["n01440764", "n02123394"])
    files = corrupted_files("image-folder", tmp_path)
    with pytest.raises(DataError, match="images for 0 of the 2 classes"):
        files.load("fog", 1, small("image-folder", (3, 32, 32), ("cat", "dog")), None)
    larger = small("image-folder", (3, 64, 64), ("n01440764", "n02123394"))
    with pytest.raises(DataError, match="has the shape") as caught:
        files.load("fog", 1, larger, None)
    assert "size" in str(caught.value.hint)

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robench.data import load
from robench.data.loading import _loaded
from robench.errors import DataError, ParameterError

ONE_LEVEL = {"cat": 20, "dog": 20, "emu": 20}
SPLIT = {"train/cat": 10, "train/dog": 10, "test/cat": 4, "test/dog": 4}
Tree = Callable[..., Path]
Pack = Callable[[Path], Path]


def test_one_level_is_split_by_us(tree: Tree) -> None:
    data = load("image-folder", {"path": str(tree(ONE_LEVEL))})
    assert [len(part) for part in (data.train, data.validation, data.test)] == [42, 6, 12]
    assert data.classes == ("cat", "dog", "emu")
    assert data.test.labels.bincount().tolist() == [4, 4, 4]


def test_pixels_labels_and_index_are_those_of_the_sorted_files(tree: Tree) -> None:
    top = tree(SPLIT)
    data = load("image-folder", {"path": str(top)})
    assert [len(part) for part in (data.train, data.validation, data.test)] == [18, 2, 8]
    files = sorted(top.glob("train/*/*")) + sorted(top.glob("test/*/*"))
    for split in (data.train, data.validation, data.test):
        for image, label, index in zip(split.images, split.labels, split.index, strict=True):
            file = files[index]
            assert data.classes[label] == file.parent.name
            expected = np.asarray(Image.open(file)).transpose(2, 0, 1)
            assert np.array_equal(image.numpy(), expected)


def test_folder_tar_and_zip_are_the_same_data(tree: Tree, as_tar: Pack, as_zip: Pack) -> None:
    top = tree(SPLIT)
    hashes = {
        load("image-folder", {"path": str(path)}).sha256 for path in (top, as_tar(top), as_zip(top))
    }
    assert len(hashes) == 1


def test_the_cache_is_used_and_gives_the_same_data(
    tree: Tree, as_tar: Pack, image_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"path": str(as_tar(tree(SPLIT)))}
    first = load("image-folder", params)
    _loaded.cache_clear()
    monkeypatch.setattr(Image, "open", None)  # nothing is decoded again
    assert load("image-folder", params).sha256 == first.sha256
    _loaded.cache_clear()
    monkeypatch.undo()


def test_a_changed_image_is_noticed(tree: Tree) -> None:
    top = tree(SPLIT)
    before = load("image-folder", {"path": str(top)}).sha256
    Image.new("RGB", (6, 6), "red").save(top / "test" / "cat" / "000.png")
    _loaded.cache_clear()
    assert load("image-folder", {"path": str(top)}).sha256 != before


def test_size_scales_and_crops_to_the_middle(tree: Tree) -> None:
    top = tree({"a": 10, "b": 10}, size=(10, 30))
    data = load("image-folder", {"path": str(top), "size": 5})
    assert data.input_shape == (3, 5, 5)
    files = sorted(top.glob("*/*"))
    for image, index in zip(data.test.images, data.test.index, strict=True):
        # The same as to scale the whole image and then to cut out the middle.
        scaled = Image.open(files[index]).resize((15, 5), Image.Resampling.BILINEAR)
        expected = np.asarray(scaled.crop((5, 0, 10, 5)), dtype=int).transpose(2, 0, 1)
        assert np.abs(image.numpy() - expected).max() <= 1


def test_grey_is_the_luma_of_the_colours(tree: Tree) -> None:
    top = tree({"a": 10, "b": 10})
    colour = load("image-folder", {"path": str(top)})
    grey = load("image-folder", {"path": str(top), "mode": "grey"})
    assert grey.input_shape == (1, 6, 6)
    luma = np.tensordot(colour.test.images.numpy(), [0.299, 0.587, 0.114], axes=(1, 0))
    assert np.abs(grey.test.images[:, 0].numpy() - luma).max() < 1


def test_pictures_are_turned_the_way_the_camera_says(tree: Tree) -> None:
    top = tree({"a": 10, "b": 10})
    upright = Image.open(top / "a" / "000.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown by a quarter turn clockwise, so it lies turned back
    upright.transpose(Image.Transpose.ROTATE_90).save(top / "b" / "turned.png", exif=exif)
    data = load("image-folder", {"path": str(top)})
    images = {
        int(index): image
        for split in (data.train, data.validation, data.test)
        for image, index in zip(split.images, split.index, strict=True)
    }
    assert np.array_equal(images[0], images[20])


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_every_kind_of_8_bit_image_is_read(tree: Tree, mode: str) -> None:
    top = tree({"a": 10, "b": 10})
    suffix = ".tiff" if mode == "CMYK" else ".png"
    Image.new("RGB", (6, 6), "white").convert(mode).save(top / "a" / f"odd{suffix}")
    data = load("image-folder", {"path": str(top)})
    everything = [*data.train.images, *data.validation.images, *data.test.images]
    assert any((image == 255).all() for image in everything)


def test_a_palette_with_transparency_is_read_without_a_warning(tree: Tree) -> None:
    top = tree({"a": 10, "b": 10})
    image = Image.new("P", (6, 6))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(top / "a" / "odd.png", transparency=b"\x00\xff")
    assert len(load("image-folder", {"path": str(top)}).classes) == 2


def damaged(content: bytes) -> bytes:
    return content[: len(content) // 2]


def overwritten(content: bytes) -> bytes:
    return b"\0" * len(content)


def deep(content: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((6, 6), 40_000, dtype=np.uint16)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("harm", [damaged, overwritten, deep])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_an_image_that_cannot_be_read_is_named(
    tree: Tree,
    as_tar: Pack,
    as_zip: Pack,
    form: str,
    suffix: str,
    harm: Callable[[bytes], bytes],
) -> None:
    top = tree(SPLIT, size=(40, 40), suffix=suffix)
    file = top / "test" / "dog" / f"002{suffix}"
    file.write_bytes(harm(file.read_bytes()))
    path = {"folder": lambda folder: folder, "tar": as_tar, "zip": as_zip}[form](top)
    with pytest.raises(DataError) as caught:
        load("image-folder", {"path": str(path)})
    assert f"test/dog/002{suffix}" in str(caught.value)
    assert str(path) in str(caught.value)


def test_images_of_several_sizes_are_named_unless_one_is_asked_for(tree: Tree) -> None:
    top = tree(SPLIT)
    Image.new("RGB", (7, 5)).save(top / "train" / "dog" / "009.png")
    with pytest.raises(DataError) as caught:
        load("image-folder", {"path": str(top)})
    assert "'train/dog/009.png' has 5x7 pixels, others have 6x6" in str(caught.value)
    assert "`size`" in str(caught.value)
    assert load("image-folder", {"path": str(top), "size": 6}).input_shape == (3, 6, 6)


def test_an_empty_class_folder_is_named(tree: Tree, as_tar: Pack) -> None:
    top = tree({**ONE_LEVEL, "fox": 0})
    for path in (top, as_tar(top)):
        with pytest.raises(DataError, match="'fox' holds no images"):
            load("image-folder", {"path": str(path)})


def test_a_relative_path_starts_at_the_data_root_or_else_here(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(ONE_LEVEL)
    assert len(load("image-folder", {"path": top.name}, root=top.parent).test) == 12
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(top.parent)
    assert len(load("image-folder", {"path": top.name}, root=elsewhere).test) == 12
    with pytest.raises(DataError) as caught:
        load("image-folder", {"path": "gone"}, root=elsewhere)
    for place in (elsewhere / "gone", top.parent / "gone"):
        assert str(place) in str(caught.value)


def test_the_path_is_required() -> None:
    with pytest.raises(ParameterError, match="needs the parameter 'path'"):
        load("image-folder")


def test_progress_is_told_when_it_takes_long(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("robench.data.image_folder._REPORT_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO):
        load("image-folder", {"path": str(tree(ONE_LEVEL))})
    assert "pictures: decoded 60 of 60 images" in caplog.text


@pytest.mark.slow
@pytest.mark.data
def test_real_cifar_10_as_jpeg(data_root: Path, image_cache: Path) -> None:
    data = load("image-folder", {"path": "cifar10-jpeg.tar.gz"}, root=data_root)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [
        45_000,
        5_000,
        10_000,
    ]
    assert data.classes[0] == "airplane"
    assert data.test.labels.bincount().tolist() == [1000] * 10
    # The means of CIFAR-10's training images, as everyone in the field writes them.
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=2e-3)
    _loaded.cache_clear()
    again = load("image-folder", {"path": "cifar10-jpeg.tar.gz"}, root=data_root)
    assert again.sha256 == data.sha256


def test_an_image_that_decodes_into_too_much_is_refused(tree: Tree) -> None:
    top = tree({"cat": 20, "dog": 20})
    Image.new("1", (13_000, 13_000)).save(top / "cat" / "huge.png")
    assert (top / "cat" / "huge.png").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"'cat/huge.png' cannot be read: it has 13000 x 13000"):
        load("image-folder", {"path": str(top), "size": 8})

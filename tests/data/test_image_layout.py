from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from robench.data.image_layout import Layout, find_layout
from robench.errors import DataError


def laid_out(*files: str, folders: tuple[str, ...] = ()) -> Layout:
    """The layout of a tree, whose folders are those of its files and some empty ones."""
    paths = [PurePosixPath(file) for file in files]
    around = {parent for path in paths for parent in path.parents if parent.parts}
    around |= {PurePosixPath(folder) for folder in folders}
    return find_layout(sorted(paths), sorted(around), path=Path("/some/where"))


def test_class_folders_alone() -> None:
    found = laid_out("dog/1.png", "cat/2.JPG", "cat/1.jpeg")
    assert found.classes == ("cat", "dog")
    assert [str(file) for file in found.files] == ["cat/1.jpeg", "cat/2.JPG", "dog/1.png"]
    assert found.labels == (0, 0, 1)
    assert found.train is None


def test_split_folders_come_train_validation_test() -> None:
    found = laid_out(
        "test/cat/1.png",
        "test/dog/1.png",
        "Train/cat/1.png",
        "Train/dog/1.png",
        "Train/dog/2.png",
        "val/cat/1.png",
        "val/dog/1.png",
    )
    assert [file.parts[0] for file in found.files] == ["Train"] * 3 + ["val"] * 2 + ["test"] * 2
    assert (found.train, found.validation) == (3, 2)
    assert found.classes == ("cat", "dog")


def test_a_val_folder_is_the_test_set_where_there_is_none() -> None:
    found = laid_out("train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png")
    assert (found.train, found.validation, len(found.files)) == (2, 0, 4)


def test_outer_folders_and_other_files_do_not_matter() -> None:
    found = laid_out("all/v1/cat/1.png", "all/v1/dog/1.png", "all/README.txt", "all/v1/list.csv")
    assert found.classes == ("cat", "dog")


def test_folders_below_a_class_belong_to_it() -> None:
    found = laid_out("cat/tabby/1.png", "cat/2.png", "dog/1.png", folders=("cat/none",))
    assert found.labels == (0, 0, 1)


def test_a_class_of_trains_is_no_split() -> None:
    assert laid_out("train/1.png", "bus/1.png").classes == ("bus", "train")


def test_a_train_folder_alone_is_split_by_us() -> None:
    found = laid_out("train/cat/1.png", "train/dog/1.png")
    assert (found.train, found.classes) == (None, ("cat", "dog"))


@pytest.mark.parametrize(
    ("files", "folders", "message"),
    [
        (("a/1.txt",), (), "holds no images"),
        (("cat/1.png", "dog/1.png", "1.png"), (), "'1.png' is in no class folder"),
        (("train/a/1.png", "train/b/1.png", "test/1.png"), (), "'test/1.png' is in no class"),
        (("cat/1.png", "dog/1.png"), ("emu",), "'emu' holds no images"),
        (("cat/1.png", "dog/1.png", "emu/1.txt"), (), "'emu' holds no images"),
        (("cat/1.png", "cat/2.png"), (), "one class alone, 'cat'"),
        (("train/cat/1.png", "test/cat/2.png"), (), "one class alone, 'cat'"),
        (
            ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"),
            ("test/c",),
            "'test/c' holds no images",
        ),
        (
            ("train/a/1.png", "train/b/1.png", "test/a/1.png"),
            (),
            "the test folder holds no images of the class 'b'",
        ),
        (
            ("train/a/1.png", "test/a/1.png", "test/b/1.png"),
            (),
            "the train folder holds no images of the class 'b'",
        ),
        (("train/a/1.png", "train/b/1.png"), ("test/a",), "the test folder holds no images"),
        (
            ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", "more/a/1.png"),
            (),
            "'more' stands beside the training folder",
        ),
    ],
)
def test_what_is_wrong_is_named(
    files: tuple[str, ...], folders: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        laid_out(*files, folders=folders)
    assert "/some/where" in str(caught.value)

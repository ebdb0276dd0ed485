"""Which folder of a tree is a split, and which is a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path, PurePosixPath

__all__ = ["IMAGE_SUFFIXES", "Layout", "find_layout"]

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""Endings, in lower case, of the files that count as images; others are passed over."""

_SPLIT_OF = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Layout:
    """The images of a tree in the order of the whole data set.

    Args:
        classes: names of the class folders, sorted.
        files: all images: those of ``train/`` first, then ``validation/``, then ``test/``; sorted
            by path within each.
        labels: position in `classes` of each.
        train: how many of them are in ``train/``; `None` where the tree has no splits.
        validation: how many of them are in ``validation/``.
    """

    classes: tuple[str, ...]
    files: tuple[PurePosixPath, ...]
    labels: tuple[int, ...]
    train: int | None
    validation: int


def find_layout(
    files: Sequence[PurePosixPath], folders: Sequence[PurePosixPath], *, path: Path
) -> Layout:
    """Make out splits and classes in a tree of class folders.

    Either ``<class>/<image>``, or ``train/<class>/<image>`` and ``test/<class>/<image>`` with or
    without ``validation/<class>/<image>``. Where there is a ``val/`` but no ``test/``, as in
    ImageNet, it is the test set. All of it may stand in one outer folder, and classes may have
    folders below them.

    Args:
        files: all files, relative to the top.
        folders: all folders, relative to the top.
        path: the tree's own place, for messages.

    Raises:
        DataError: an image outside a class folder, a class folder without images, splits whose
            classes differ, or fewer than two classes. Names the folder or file.
    """
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise DataError(
            f"{path.name} holds no images",
            where=str(path),
            allowed=f"files that end in {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    depth = _outer_folders(images, folders)
    splits = _splits(_names_at(depth, [*images, *folders]), path)
    class_depth = depth + (splits is not None)
    for image in images:
        if len(image.parts) < class_depth + 2:
            raise DataError(
                f"the image {str(image)!r} is in no class folder",
                where=str(path),
                allowed="<class>/<image>, or train/<class>/<image> and test/<class>/<image>",
            )
    _check_empty(images, folders, class_depth, path)
    return _layout(images, depth, class_depth, splits, path)


def _outer_folders(images: Sequence[PurePosixPath], folders: Sequence[PurePosixPath]) -> int:
    """How many folders lie around everything; ``<class>/<image>`` at least is left."""
    shallowest = min(len(image.parts) for image in images)
    depth = 0
    while shallowest > depth + 2 and len(_names_at(depth, [*images, *folders])) == 1:
        depth += 1
    return depth


def _names_at(depth: int, paths: Sequence[PurePosixPath]) -> set[str]:
    return {path.parts[depth] for path in paths if len(path.parts) > depth}


def _splits(names: set[str], path: Path) -> dict[str, str] | None:
    """Folder name → split, or `None` where the outermost folders are classes.

    A folder ``train`` alone makes no split: there are data sets with a class of trains.
    """
    found = {name: _SPLIT_OF.get(name.lower(), "") for name in sorted(names)}
    if "train" not in found.values() or not {"validation", "test"} & set(found.values()):
        return None
    for name, split in found.items():
        if not split:
            raise DataError(
                f"{name!r} stands beside the training folder, but is no split",
                where=str(path),
                allowed=_SPLIT_OF,
            )
    if "test" not in found.values():
        return {name: "train" if split == "train" else "test" for name, split in found.items()}
    return found


def _check_empty(
    images: Sequence[PurePosixPath], folders: Sequence[PurePosixPath], depth: int, path: Path
) -> None:
    filled = {image.parts[: depth + 1] for image in images}
    around = {image.parts[:depth] for image in images}
    for folder in folders:
        is_class = len(folder.parts) == depth + 1 and folder.parts[:depth] in around
        if is_class and folder.parts not in filled:
            raise DataError(
                f"the class folder {str(folder)!r} holds no images",
                where=str(path),
                hint="fill it, or take it away",
            )


def _layout(
    images: Sequence[PurePosixPath],
    depth: int,
    class_depth: int,
    splits: dict[str, str] | None,
    path: Path,
) -> Layout:
    parts: dict[str, list[PurePosixPath]] = {"train": [], "validation": [], "test": []}
    for image in sorted(images):
        parts[splits[image.parts[depth]] if splits else "train"].append(image)
    classes = tuple(sorted({image.parts[class_depth] for image in images}))
    if len(classes) < 2:
        raise DataError(
            f"{path.name} has one class alone, {classes[0]!r}: nothing to tell apart",
            where=str(path),
            allowed="2 class folders or more",
        )
    if splits:
        _check_same_classes(parts, classes, class_depth, path)
    files = [image for part in parts.values() for image in part]
    number = {name: position for position, name in enumerate(classes)}
    return Layout(
        classes=classes,
        files=tuple(files),
        labels=tuple(number[image.parts[class_depth]] for image in files),
        train=len(parts["train"]) if splits else None,
        validation=len(parts["validation"]),
    )


def _check_same_classes(
    parts: dict[str, list[PurePosixPath]], classes: Sequence[str], depth: int, path: Path
) -> None:
    for split, images in parts.items():
        if not images and split == "validation":
            continue  # it is carved out of the training set
        missing = sorted(set(classes) - {image.parts[depth] for image in images})
        if missing:
            raise DataError(
                f"the {split} folder holds no images of the class {missing[0]!r}",
                where=str(path),
                hint="every split must hold every class",
            )

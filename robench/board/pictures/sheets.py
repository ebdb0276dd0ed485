"""A contact sheet as a file: of a photograph, of an image file, or of an image of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps

from robench.board.pictures.contact_sheet import (
    PHOTOGRAPH_CREDIT,
    corruption_strips,
    degradation_strips,
    photograph,
    png,
    sheet,
)
from robench.data import DATASETS, load, to_float
from robench.data.image_folder import open_image
from robench.degradations import DEGRADATIONS
from robench.errors import DataError, InputError, StoreError, UnknownNameError, UsageError
from robench.files import write_atomically

if TYPE_CHECKING:
    from robench.degradations.corruptions import Constants

__all__ = ["SHEETS", "write_sheet"]

SHEETS = ("degradations", "corruptions")

_SIDE = 224
"""To which image files are brought: the size of the published stimuli."""
_SMALL_SIDE = 64
_WRITERS = (".png", ".svg")


def write_sheet(
    what: str,
    subject: str | Path | None = None,
    *,
    out: str | Path | None = None,
    index: int = 0,
    root: str | Path | None = None,
) -> Path:
    """Draw one real image through every kind and level.

    Args:
        what: ``"degradations"`` or ``"corruptions"``.
        subject: an image file, which is brought to the middle square of 224 pixels; the name of a
            data set of images; or `None` for a photograph that is always there.
        out: the file to write, ``.png`` or ``.svg``; by default ``degradations.png`` right here.
        index: which image of the data set's test split.
        root: the folder of data sets.

    Returns:
        The path of the file.

    Raises:
        UnknownNameError: there is no such sheet, image or data set.
        UsageError: a file name that ends otherwise, or a data set without images.
        PluginError: imagecorruptions is needed and not installed.
        StoreError: the file cannot be written.
    """
    if what not in SHEETS:
        raise UnknownNameError("sheet", what, SHEETS)
    path = Path(out) if out is not None else Path(f"{what}.png")
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"a sheet cannot be written as {path.name!r}", allowed=_WRITERS)
    image, number, note, undistorted = _subject(subject, index, root)
    side = max(image.shape[2:])
    if what == "degradations":
        strips = list(
            degradation_strips(image, tuple(DEGRADATIONS), index=number, undistorted=undistorted)
        )
        title = "Degradations of Geirhos et al. 2018, at their published levels"
    else:
        constants: Constants = "cifar-10-c" if side <= _SMALL_SIDE else "imagenet-c"
        strips = list(corruption_strips(image, constants, index=number))
        title = "Corruptions of Hendrycks and Dietterich 2019, at severities 1 to 5"
        note += f"; constants of {'CIFAR-10-C' if side <= _SMALL_SIDE else 'ImageNet-C'}"
    drawn = sheet(strips, title=title, note=note)
    content = png(drawn) if path.suffix.lower() == ".png" else drawn.encode()
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    return path


def _subject(
    subject: str | Path | None, index: int, root: str | Path | None
) -> tuple[torch.Tensor, int, str, torch.Tensor | None]:
    """The image, float32 [1, C, H, W], its number for the noise, what it is, in words, and others.

    The others are the training images of its data set.
    """
    if subject is None:
        return photograph(_SIDE), 0, f"{_SIDE} x {_SIDE} pixels; {PHOTOGRAPH_CREDIT}", None
    if Path(subject).is_file():
        words = f"{Path(subject).name}, {_SIDE} x {_SIDE} pixels"
        return _image_file(Path(subject)), 0, words, None
    name = str(subject)
    if name not in DATASETS and (Path(name).suffix or "/" in name) and ":" not in name:
        raise DataError(
            f"there is no image {name!r}",
            where=str(Path(name).absolute()),
            hint="name an image file, or a data set from `robench list datasets`",
        )
    data = load(name, root=root)
    if data.kind != "image":
        raise InputError(
            f"the data set {name!r} holds no images", hint="choose one that does: digits, mnist, …"
        )
    if not 0 <= index < len(data.test):
        raise InputError(f"{name} has no test image {index}", allowed=f"0 to {len(data.test) - 1}")
    image = to_float(data.test.images[index : index + 1])
    shown = data.classes[int(data.test.labels[index])] if data.classes else "no class"
    height, width = image.shape[2:]
    words = f"{name}, test image {index} ({shown}), {height} x {width} pixels"
    return image, int(data.test.index[index]), words, data.train.images


def _image_file(path: Path) -> torch.Tensor:
    if not path.is_file():
        raise DataError(f"{path.name} is no ordinary file", where=str(path))
    try:
        with open_image(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            fitted = ImageOps.fit(upright, (_SIDE, _SIDE), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path.name} cannot be read as an image: {error}", where=str(path)
        ) from error
    return torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1)[None].float() / 255

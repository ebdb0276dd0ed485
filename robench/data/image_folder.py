"""Image folders: the user's own images, in class folders or an archive of them."""

import io
import logging
import time
import warnings
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Literal

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field

from robench.data.assembly import TrainingSubset, assemble
from robench.data.base import Data, Dataset
from robench.data.image_cache import Pictures, cached
from robench.data.image_layout import Layout, find_layout
from robench.data.image_source import Source, open_source
from robench.data.splits import official_split, own_split
from robench.errors import DataError
from robench.spec.identity import digest

__all__ = ["DECODER", "MOST_PIXELS", "ImageFolder", "decoded_images", "find_path", "open_image"]

_log = logging.getLogger(__name__)
DECODER = 1
"""Raise it with every change to how images are decoded, so that no cache outlives its decoder."""
MOST_PIXELS = 1 << 26
"""The largest image that is decoded, as width x height: a PNG of some kilobytes can hold one that
fills the memory."""
_REPORT_EVERY_S = 2.0


class ImageFolder(Dataset):
    """Your own images: class folders, or a .tar.gz or .zip of them (parameter `path`).

    ``<class>/<image>``, split 70:10:20, stratified; or ``train/<class>/<image>`` and
    ``test/<class>/<image>``, where 10 % of the training set become the validation split unless
    there is a ``validation/`` too. Archives are read in place. Decoded images are kept in the
    user's cache folder.
    """

    name = "image-folder"

    class Params(TrainingSubset):
        """Where the images are, and what they are brought to."""

        path: str
        """Folder or archive; a relative path starts at the data root, or else right here."""
        size: Annotated[int, Field(ge=1, le=4096)] | None = None
        """Height and width in pixels: scaled bilinearly, and cropped to the middle square.
        `None` means that all images have one size, which is kept."""
        mode: Literal["colour", "grey"] = "colour"
        """Three channels, or one (luma of ITU-R 601)."""

    def load(self, root: Path, /) -> Data:
        """Images uint8 [N, 3 or 1, H, W]; the splits that the folder has, or our own."""
        source = open_source(find_path(self.params.path, root))
        size, mode = self.params.size, self.params.mode
        key = digest([DECODER, PIL.__version__, source.fingerprint(), size, mode], 32)
        pictures = cached(key, lambda: _decode(source, size, mode))
        labels = pictures.labels
        splits = (
            own_split(labels, self.name)
            if pictures.train is None
            else official_split(
                labels, self.name, train=pictures.train, validation=pictures.validation
            )
        )
        return assemble(
            self.name,
            classes=pictures.classes,
            inputs=pictures.images,
            labels=labels,
            splits=splits,
            subset=self.params.subset,
        )


def find_path(path: str, root: Path) -> Path:
    """A folder or archive, starting at the data root or else right here.

    Raises:
        DataError: it is at neither.
    """
    given = Path(path).expanduser()
    places = [given] if given.is_absolute() else [root / given, Path.cwd() / given]
    for place in places:
        if place.exists():
            return place
    raise DataError(
        f"there is no folder or archive {path!r}",
        where=" nor ".join(map(str, places)),
        hint="name the folder that holds it by --data or ROBENCH_DATA, or give the whole path",
    )


def _decode(source: Source, size: int | None, mode: str) -> Pictures:
    layout = find_layout(*source.names(), path=source.path)
    return Pictures(
        images=decoded_images(source, layout, size, mode),
        labels=np.array(layout.labels, dtype=np.int64),
        classes=layout.classes,
        train=layout.train,
        validation=layout.validation,
    )


def decoded_images(
    source: Source, layout: Layout, size: int | None, mode: str
) -> NDArray[np.uint8]:
    """All images of a layout in its order, uint8 [N, C, H, W].

    Args:
        source: where the files are.
        layout: which files, and in which order.
        size: height and width in pixels; `None` keeps the one size that all of them have.
        mode: ``"colour"`` or ``"grey"``.

    Raises:
        DataError: an image that cannot be read, or images of several sizes.
    """
    place = {name: position for position, name in enumerate(layout.files)}
    images: NDArray[np.uint8] | None = None
    done = 0
    reported = time.monotonic()
    for name, content in source.contents(layout.files):
        pixels = _pixels(source, name, content, size, mode)
        if images is None:
            images = np.empty((len(place), *pixels.shape), dtype=np.uint8)
        if pixels.shape != images.shape[1:]:
            raise DataError(
                f"the images differ in size: {str(name)!r} has {_shown(pixels)} pixels, "
                f"others have {_shown(images)}",
                where=str(source.path),
                hint="the parameter `size` brings all images to one size",
            )
        images[place[name]] = pixels
        done += 1
        if time.monotonic() - reported > _REPORT_EVERY_S:
            reported = time.monotonic()
            _log.info("%s: decoded %d of %d images", source.path.name, done, len(place))
    if images is None or done < len(place):
        raise DataError(f"{source.path.name} changed while it was read", where=str(source.path))
    return images


def _pixels(
    source: Source, name: PurePosixPath, content: bytes, size: int | None, mode: str
) -> NDArray[np.uint8]:
    """One image, uint8 [C, H, W]."""
    try:
        with open_image(io.BytesIO(content)) as image:
            ImageOps.exif_transpose(image, in_place=True)
            pixels = np.asarray(_sized(_converted(image, mode), size))
    # What Pillow raises depends on the format and the damage.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(
            f"the image {str(name)!r} cannot be read: {error}",
            where=str(source.path),
            hint="mend the image, or take it out",
        ) from error
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def open_image(file: Path | IO[bytes]) -> Image.Image:
    """An image that is not decoded yet.

    Raises:
        ValueError: it has more than `MOST_PIXELS`.
        OSError: it is damaged, or no image.
    """
    with warnings.catch_warnings():
        # Pillow would warn of images that are refused here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(file)
    width, height = image.size
    if width * height > MOST_PIXELS:
        image.close()
        raise ValueError(f"it has {width} x {height} pixels, and {MOST_PIXELS:,} are the most")
    return image


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"it has more than 8 bits a channel (Pillow's mode {image.mode})")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB" if mode == "colour" else "L")


def _sized(image: Image.Image, size: int | None) -> Image.Image:
    if size is None or image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def _shown(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[-2]}x{pixels.shape[-1]}"

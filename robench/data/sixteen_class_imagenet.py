"""16-class-ImageNet, out of the user's own ImageNet: the images that humans were tested on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import PIL
from pydantic import Field

from robench.data.assembly import TrainingSubset, assemble
from robench.data.base import Data, Dataset
from robench.data.image_cache import Pictures, cached
from robench.data.image_folder import DECODER, decoded_images, find_path
from robench.data.image_layout import Layout, find_layout
from robench.data.image_source import Source, open_source
from robench.data.sixteen_classes import CATEGORIES, CATEGORY_OF
from robench.data.splits import official_split, stratified_order
from robench.errors import DataError
from robench.spec.identity import digest

__all__ = ["SixteenClassImageNet"]


class SixteenClassImageNet(Dataset):
    """ImageNet's images in 16 categories, from airplane to truck, as humans saw them.

    Geirhos et al. 2018 (arXiv 1808.08750). `path` is a folder or archive of ImageNet's classes by
    WordNet id, ``train/n02690373/…`` and ``val/n02690373/…``; other classes are passed over. The
    categories are very uneven, so that each is cut to the same number of images. Which classes
    belong to a category was read off the published trials, see `robench.data.sixteen_classes`.
    """

    name = "16-class-imagenet"

    class Params(TrainingSubset):
        """Where ImageNet is, and how much of it is taken."""

        path: str
        """Folder or archive; a relative path starts at the data root, or else right here."""
        size: Annotated[int, Field(ge=32, le=512)] = 224
        """Height and width in pixels: scaled bilinearly, and cropped to the middle square."""
        train_per_category: Annotated[int, Field(ge=10)] = 500
        """Training images of each category at most; 10 % of them become the validation split."""
        test_per_category: Annotated[int, Field(ge=1)] = 80
        """Test images of each category at most, from ImageNet's validation set."""

    def load(self, root: Path, /) -> Data:
        """Images uint8 [N, 3, size, size], evenly spread over the 16 categories.

        Raises:
            DataError: no classes of ImageNet at the path, or none of some category.
        """
        source = open_source(find_path(self.params.path, root))
        params = self.params
        most = (params.train_per_category, params.test_per_category)
        content = [DECODER, PIL.__version__, source.fingerprint(), params.size, *most]
        key = digest(["16-class-imagenet", self.version, *content], 32)
        pictures = cached(key, lambda: _decode(source, params.size, most))
        labels, train = pictures.labels, pictures.train or 0
        return assemble(
            self.name,
            classes=pictures.classes,
            inputs=pictures.images,
            labels=labels,
            splits=official_split(labels, self.name, train=train),
            subset=params.subset,
        )


def _decode(source: Source, size: int, most: tuple[int, int]) -> Pictures:
    layout = _sixteen(source, most)
    return Pictures(
        images=decoded_images(source, layout, size, "colour"),
        labels=np.array(layout.labels, dtype=np.int64),
        classes=layout.classes,
        train=layout.train,
        validation=layout.validation,
    )


def _sixteen(source: Source, most: tuple[int, int]) -> Layout:
    """The layout of the classes that belong to a category, thinned out."""
    files, folders = (
        [path for path in paths if any(part in CATEGORY_OF for part in path.parts)]
        for paths in source.names()
    )
    if not files:
        raise DataError(
            f"{source.path.name} holds no class of 16-class-ImageNet",
            where=str(source.path),
            allowed="train/<WordNet id>/<image> and val/<WordNet id>/<image>, as ImageNet has",
        )
    layout = find_layout(files, folders, path=source.path)
    if layout.train is None:
        raise DataError(
            f"{source.path.name} has no training and validation set",
            where=str(source.path),
            allowed="train/<WordNet id>/<image> and val/<WordNet id>/<image>, as ImageNet has",
        )
    names = list(CATEGORIES)
    labels = [names.index(CATEGORY_OF[layout.classes[label]]) for label in layout.labels]
    own_validation = range(layout.train, layout.train + layout.validation)
    places = [
        *_thinned(labels, range(layout.train), most[0]),
        *_thinned(labels, range(own_validation.stop, len(labels)), most[1]),
    ]
    missing = sorted(set(range(len(names))) - {labels[place] for place in places})
    if missing:
        raise DataError(
            f"there are no images of the category {names[missing[0]]!r}",
            where=str(source.path),
            allowed=f"folders named {', '.join(CATEGORIES[names[missing[0]]])}",
        )
    kept = sum(place < layout.train for place in places)
    return replace(
        layout,
        classes=tuple(names),
        files=tuple(layout.files[place] for place in places),
        labels=tuple(labels[place] for place in places),
        train=kept,
        validation=0,
    )


def _thinned(labels: Sequence[int], places: range, most: int) -> list[int]:
    """At most so many places of each category, a fair sample that never changes."""
    own = np.array([labels[place] for place in places], dtype=np.int64)
    order = stratified_order(own, "16-class-imagenet")
    kept: list[int] = []
    for category in range(len(CATEGORIES)):
        of_category = order[own[order] == category][:most]
        kept += sorted((of_category + places.start).tolist())
    return kept

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from robench.data import load
from robench.data.sixteen_classes import CATEGORIES, CATEGORY_OF
from robench.errors import DataError

NAMES = [
    *("airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat"),
    *("chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck"),
]


def test_the_categories() -> None:
    assert list(CATEGORIES) == NAMES
    assert len(CATEGORY_OF) == 202 == sum(len(ids) for ids in CATEGORIES.values())
    assert CATEGORY_OF["n02690373"] == "airplane"


@pytest.mark.data
def test_they_are_those_of_the_published_trials(data_root: Path) -> None:
    folder = data_root.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    columns = ["category", "image"]
    trials = pd.read_parquet(folder / "geirhos_trials.parquet", columns=columns).drop_duplicates()
    ids = trials["image"].str.extract(r"^(n\d{8})_")[0]
    found = set(zip(ids, trials["category"].astype(str), strict=True))
    assert found == set(CATEGORY_OF.items())


def imagenet(tree, train: int = 12, test: int = 3, **changes: int) -> Path:
    """Two classes of birds and dogs, one of each other category, and one that is none."""
    counts = {}
    for name, ids in CATEGORIES.items():
        for wordnet_id in ids[: 2 if name in ("bird", "dog") else 1]:
            counts[f"train/{wordnet_id}"] = train
            counts[f"val/{wordnet_id}"] = test
    counts |= {"train/n01440764": 4, "val/n01440764": 2}
    counts |= changes
    return tree({name: count for name, count in counts.items() if count}, size=(34, 40))


def test_evenly_cut_categories(tree) -> None:
    params = {"path": str(imagenet(tree)), "size": 32, "train_per_category": 10}
    data = load("16-class-imagenet", {**params, "test_per_category": 2})
    assert list(data.classes) == NAMES
    assert data.input_shape == (3, 32, 32)
    together = torch.cat([data.train.labels, data.validation.labels])
    assert torch.bincount(together).tolist() == [10] * 16
    assert torch.bincount(data.test.labels).tolist() == [2] * 16
    again = load("16-class-imagenet", {**params, "test_per_category": 3})
    assert torch.bincount(again.test.labels).tolist() == [3] * 16
    assert again.sha256 != data.sha256


def test_labels_go_with_images(tree) -> None:
    """An image can be found again in the folder of its category."""
    import numpy as np
    from PIL import Image, ImageOps

    folder = imagenet(tree)
    data = load("16-class-imagenet", {"path": str(folder), "size": 32, "test_per_category": 1})
    for image, label in zip(data.test.images[:4], data.test.labels[:4], strict=True):
        own = CATEGORIES[NAMES[int(label)]]
        files = [file for name in own for file in (folder / "val" / name).glob("*.png")]
        seen = [
            np.asarray(ImageOps.fit(Image.open(file), (32, 32), Image.Resampling.BILINEAR))
            for file in files
        ]
        assert any((image.permute(1, 2, 0).numpy() == pixels).all() for pixels in seen)


def test_what_is_wrong(tree, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder or archive"):
        load("16-class-imagenet", {"path": "nowhere"}, root=tmp_path)
    top = tree({"train/cat": 2, "val/cat": 2})
    with pytest.raises(DataError, match="holds no class of 16-class-ImageNet"):
        load("16-class-imagenet", {"path": str(top)})


def test_a_category_without_images(tree) -> None:
    top = imagenet(tree, **{"train/n03041632": 0, "val/n03041632": 0})
    with pytest.raises(DataError, match="no images of the category 'knife'") as caught:
        load("16-class-imagenet", {"path": str(top), "size": 32})
    assert "n03041632" in str(caught.value.allowed)


def test_without_a_validation_set(tree) -> None:
    top = tree({"n02690373": 3, "n02123394": 3})
    with pytest.raises(DataError, match="no training and validation set"):
        load("16-class-imagenet", {"path": str(top)})

"""The data sets that come with robench."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_digits

from robench.data import load
from robench.data.loading import _loaded

DIGITS_SHA256 = "42c5ff3741c6b3812d6fab37f322de6ece72e23ad95dbca6e40e990a421f80a0"
BREAST_CANCER_SHA256 = "0aa38907f03e812e6359aef8fbd0e159f0d34dcf8c698c08d337f4aaf7766f5b"


def test_hashes_are_the_same_on_every_load_and_every_machine() -> None:
    for name, expected in (("digits", DIGITS_SHA256), ("breast-cancer", BREAST_CANCER_SHA256)):
        first = load(name)
        _loaded.cache_clear()
        assert load(name) is not first
        assert load(name).sha256 == first.sha256 == expected


def test_digits_are_split_once_and_stratified() -> None:
    data = load("digits")
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [1258, 180, 359]
    everything = torch.cat([part.index for part in parts])
    assert everything.sort().values.tolist() == list(range(1797))
    shares = np.bincount(load_digits().target) / 1797
    for part in parts:
        assert np.abs(part.labels.bincount().numpy() - shares * len(part)).max() <= 2
    assert data.classes == tuple("0123456789")


def test_digits_are_scikit_learns_enlarged() -> None:
    data = load("digits")
    original = load_digits()
    assert data.train.images.shape[1:] == (1, 32, 32)
    for image, label, index in zip(
        data.test.images[:20], data.test.labels, data.test.index, strict=False
    ):
        assert label == original.target[index]
        # Pillow enlarges with the same bilinear weights, away from the rounding of 8-bit pixels.
        grey = Image.fromarray((original.images[index] * 255 / 16).astype(np.float32))
        expected = np.asarray(grey.resize((32, 32), Image.Resampling.BILINEAR))
        assert np.abs(image[0].numpy() - expected).max() <= 0.51


def test_breast_cancer_is_scaled_by_its_training_rows_alone() -> None:
    data = load("breast-cancer")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [398, 57, 114]
    assert (data.kind, data.classes, data.input_shape) == (
        "tabular",
        ("malignant", "benign"),
        (30,),
    )
    rows = load_breast_cancer().data
    used = rows[data.train.index.numpy()]
    low, high = used.min(axis=0), used.max(axis=0)
    for part in (data.train, data.validation, data.test):
        expected = np.clip((rows[part.index.numpy()] - low) / (high - low), 0, 1)
        np.testing.assert_allclose(part.images.numpy(), expected, atol=1e-6)
    assert torch.equal(data.train.images.min(0).values, torch.zeros(30))
    assert torch.equal(data.train.images.max(0).values, torch.ones(30))


def test_a_subset_of_breast_cancer_is_scaled_by_itself() -> None:
    data = load("breast-cancer", {"subset": 40})
    assert torch.equal(data.train.images.max(0).values, torch.ones(30))
    # Ranks do not depend on the scale.
    rows = load_breast_cancer().data[data.train.index.numpy()]
    assert stats.spearmanr(rows[:, 0], data.train.images[:, 0].numpy()).statistic > 0.999

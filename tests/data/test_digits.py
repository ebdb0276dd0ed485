"""The data set digits, which comes with robench, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from robench.data import load
from robench.data.loading import _loaded

SHA256 = "42c5ff3741c6b3812d6fab37f322de6ece72e23ad95dbca6e40e990a421f80a0"


def test_the_hash_is_the_same_on_every_load_and_every_machine() -> None:
    first = load("digits")
    _loaded.cache_clear()
    assert load("digits") is not first
    assert load("digits").sha256 == first.sha256 == SHA256


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

"""The data set breast-cancer, which comes with robench, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from sklearn.datasets import load_breast_cancer

from robench.data import load
from robench.data.loading import _loaded

SHA256 = "0aa38907f03e812e6359aef8fbd0e159f0d34dcf8c698c08d337f4aaf7766f5b"


def test_the_hash_is_the_same_on_every_load_and_every_machine() -> None:
    first = load("breast-cancer")
    _loaded.cache_clear()
    assert load("breast-cancer") is not first
    assert load("breast-cancer").sha256 == first.sha256 == SHA256


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

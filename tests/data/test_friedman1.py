"""Friedman's first problem: what scikit-learn makes, and noise beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_friedman1
from sklearn.feature_selection import f_regression

from robench.data import load
from robench.data.loading import _loaded
from robench.errors import ParameterError

SHA256 = "f862efb0621472e2d40a5177d95bf58f5d65fe87c22be7fb1b1a9107beef8052"
WIDE = {"noise_features": 1000, "scale": 1.5, "offset": 1}


def test_the_data_is_the_same_on_every_load_and_every_machine() -> None:
    first = load("friedman1", WIDE)
    _loaded.cache_clear()
    assert load("friedman1", WIDE).sha256 == first.sha256 == SHA256
    assert load("friedman1", WIDE | {"seed": 1}).sha256 != SHA256


def test_it_is_a_regression_with_named_features() -> None:
    data = load("friedman1", WIDE)
    assert (data.task, data.kind, data.outputs) == ("regression", "tabular", 1)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [404, 58, 115]
    assert data.input_shape == (1010,)
    assert data.features[:10] == tuple(f"x{number}" for number in range(1, 11))
    assert data.features[10:] == tuple(f"noise{number}" for number in range(1, 1001))


def test_rows_and_targets_are_scikit_learns() -> None:
    """Without noise the target follows from the first five features alone."""
    data = load("friedman1", {"noise": 0.0, "seed": 5, "scale": 2.0, "offset": -3.0})
    rows, expected = make_friedman1(577, random_state=5)
    low, high = (bound(rows[data.train.index.numpy()], axis=0) for bound in (np.min, np.max))
    for part in (data.train, data.validation, data.test):
        index = part.index.numpy()
        scaled = np.clip((rows[index] - low) / (high - low), 0, 1)
        np.testing.assert_allclose(part.images.numpy(), scaled, atol=1e-6)
        target = part.labels.numpy() * data.target_std + data.target_mean
        np.testing.assert_allclose(target, 2 * expected[index] - 3, atol=1e-5)
        x = rows[index]
        by_hand = (
            10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
            + 10 * x[:, 3] + 5 * x[:, 4]
        )  # fmt: skip
        np.testing.assert_allclose(target, 2 * by_hand - 3, atol=1e-5)


def test_noise_features_are_normal_and_say_nothing() -> None:
    data = load("friedman1", {"samples": 3000, "noise_features": 200})
    noise = data.train.images[:, 10:]
    standardised = (noise - noise.mean(0)) / noise.std(0)
    assert standardised.pow(4).mean() == pytest.approx(3.0, abs=0.1)
    assert (standardised.abs() < 1).float().mean() == pytest.approx(0.6827, abs=0.01)
    _, p_values = f_regression(data.train.images.numpy(), data.train.labels.numpy())
    assert (p_values[[0, 1, 3, 4]] < 1e-6).all()
    assert 0.01 < (p_values[10:] < 0.05).mean() < 0.1


def test_the_noise_of_the_target_is_as_large_as_asked_for() -> None:
    clean, noisy = (load("friedman1", {"samples": 4000, "noise": noise}) for noise in (0.0, 2.0))
    assert torch.equal(clean.train.images, noisy.train.images)
    targets = [data.train.labels * data.target_std + data.target_mean for data in (clean, noisy)]
    assert float((targets[1] - targets[0]).std()) == pytest.approx(2.0, abs=0.06)


def test_a_subset_is_scaled_by_itself() -> None:
    data = load("friedman1", {"subset": 50})
    assert len(data.train) == 50
    assert torch.equal(data.train.images.max(0).values, torch.ones(10))
    assert float(data.train.labels.mean()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [("uniform_features", 4), ("noise_features", -1), ("samples", 3), ("noise", -1.0),
     ("scale", 0.0), ("offset", float("nan"))],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=name):
        load("friedman1", {name: value})

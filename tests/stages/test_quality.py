from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from robench.data import Data, load
from robench.data.base import Split
from robench.stages.quality import quality

TARGETS = torch.tensor([-1.2, 0.3, 0.9, 2.0, -0.4])
OUTPUTS = torch.tensor([[-1.0], [0.5], [0.2], [1.5], [-0.4]])


def regression(targets: torch.Tensor) -> tuple[Data, Split]:
    rows = Split(torch.zeros(len(targets), 2), targets, torch.arange(len(targets)))
    features = {"mean": (0.0, 0.0), "std": (1.0, 1.0), "target_mean": 100.0, "target_std": 3.0}
    whole = replace(
        load("digits"), kind="tabular", classes=(), train=rows, validation=rows, test=rows,
        **features,
    )  # fmt: skip
    return whole, rows


def test_errors_are_in_the_targets_own_units_with_an_interval_of_the_logarithm() -> None:
    data, rows = regression(TARGETS)
    mse, r2 = quality(data, OUTPUTS, rows, suffix="_x")
    squares = 9 * ((OUTPUTS[:, 0] - TARGETS).double() ** 2)
    # Squares are skewed: the plain t interval reached below 0, and missed large means too often.
    reach = stats.t.ppf(0.975, 4) * stats.sem(squares) / squares.mean().item()
    low, high = (squares.mean().item() * math.exp(end * reach) for end in (-1, 1))
    assert (mse.name, r2.name, mse.n) == ("mse_x", "r2_x", 5)
    assert mse.value == pytest.approx(squares.mean().item())
    assert (mse.low, mse.high) == (pytest.approx(low), pytest.approx(high))
    spread = 9 * TARGETS.double().var(correction=0).item()
    assert r2.value == pytest.approx(1 - mse.value / spread)
    assert (r2.low, r2.high) == (
        pytest.approx(1 - mse.high / spread),
        pytest.approx(1 - mse.low / spread),
    )


def test_one_row_has_no_interval_and_no_r2() -> None:
    data, rows = regression(TARGETS[:1])
    (mse,) = quality(data, OUTPUTS[:1], rows)
    assert mse.value == pytest.approx(9 * 0.04, rel=1e-4)
    assert (mse.low, mse.high) == (None, None)


def test_classes_are_counted() -> None:
    digits = load("digits")
    right = torch.nn.functional.one_hot(digits.test.labels, 10).float()
    right[:7] = right[:7].roll(1, dims=1)
    (accuracy,) = quality(digits, right, digits.test)
    n = len(digits.test)
    assert (accuracy.name, accuracy.value, accuracy.n) == ("accuracy", (n - 7) / n, n)

from __future__ import annotations

import math

import numpy as np
import pytest

from robench.errors import InputError
from robench.measure.importance import (
    divergence_bits,
    entropy_bits,
    importance_shares,
    total_effects,
)


def uniform_rows(count: int, features: int) -> np.ndarray:
    return np.random.default_rng(3).random((count, features), dtype=np.float32)


def linear(weights: np.ndarray):
    return lambda rows: (rows.astype(np.float64) @ weights)[:, None]


def test_of_a_linear_function_it_is_weight_squared_times_variance() -> None:
    weights = np.array([3.0, -1.0, 0.0, 0.5])
    rows = uniform_rows(4000, 4)
    found = total_effects(linear(weights), rows, seed=0)
    np.testing.assert_allclose(found, weights**2 * rows.var(axis=0), rtol=0.05)
    assert found[2] == 0


def test_ishigamis_function_has_the_total_effects_of_the_textbook() -> None:
    # sin x1 + a sin² x2 + b x3⁴ sin x1 on [-π, π]³: a closed form (Ishigami and Homma 1990).
    a, b = 7.0, 0.1

    def ishigami(rows: np.ndarray) -> np.ndarray:
        x = (2 * rows.astype(np.float64) - 1) * math.pi
        value = np.sin(x[:, 0]) * (1 + b * x[:, 2] ** 4) + a * np.sin(x[:, 1]) ** 2
        return value[:, None]

    third = 8 * b**2 * math.pi**8 / 225
    first = 0.5 * (1 + b * math.pi**4 / 5) ** 2 + third
    found = total_effects(ishigami, uniform_rows(20_000, 3), seed=1)
    np.testing.assert_allclose(found, [first, a**2 / 8, third], rtol=0.06)


def test_several_answers_add_up() -> None:
    rows = uniform_rows(50, 3)
    weights = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]])
    both = total_effects(lambda x: x.astype(float) @ weights, rows, seed=5)
    each = [total_effects(linear(column), rows, seed=5) for column in weights.T]
    np.testing.assert_allclose(both, each[0] + each[1])


def test_every_row_gets_the_value_of_another() -> None:
    rows = np.array([[0.0], [1.0]], dtype=np.float32)
    assert total_effects(linear(np.ones(1)), rows, seed=0).tolist() == [0.5]


def test_many_features_do_not_fit_in_one_batch_and_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, weights = uniform_rows(20, 30), np.arange(30.0)
    at_once = total_effects(linear(weights), rows, seed=2)
    monkeypatch.setattr("robench.measure.importance._ROWS_AT_ONCE", 100)
    np.testing.assert_array_equal(total_effects(linear(weights), rows, seed=2), at_once)


def test_one_row_cannot_exchange_values() -> None:
    with pytest.raises(InputError, match="two rows"):
        total_effects(linear(np.ones(2)), uniform_rows(1, 2), seed=0)


def test_shares_entropy_and_divergence() -> None:
    shares = importance_shares(np.array([2.0, 1.0, 1.0, 0.0]))
    assert shares is not None
    assert shares.tolist() == [0.5, 0.25, 0.25, 0.0]
    assert entropy_bits(shares) == pytest.approx(1.5)
    assert entropy_bits(np.full(8, 1 / 8)) == pytest.approx(3)
    assert importance_shares(np.zeros(3)) is None
    assert divergence_bits(shares, shares) == pytest.approx(0, abs=1e-12)
    assert divergence_bits(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(1)
    # By hand: the mean is (3/4, 1/4); half of log2(4/3), and half of the entropy's complement.
    by_hand = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2))
    assert divergence_bits(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx(by_hand)

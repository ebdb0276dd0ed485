"""Summaries against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.attacks import metrics
from robench.errors import InputError

DISTANCE = [0.0, 0.5, 1.0, 2.0, math.inf]
CORRECT = [False, True, True, True, True]
NORM = [4.0, 2.0, 2.0, 0.0, 8.0]


def test_hand_computed() -> None:
    assert metrics.clean_accuracy(CORRECT) == 0.8
    assert metrics.accuracy_at(DISTANCE, [0, 0.5, 0.7, 2, 100]).tolist() == pytest.approx(
        [0.8, 0.6, 0.6, 0.2, 0.2]
    )
    assert metrics.area_under_accuracy(DISTANCE, 1.5) == pytest.approx((0.5 + 1 + 1.5 + 1.5) / 5)
    assert metrics.median_distance(DISTANCE, CORRECT) == 1.5
    assert metrics.mean_distance(DISTANCE[:4]) == pytest.approx(3.5 / 4)
    assert metrics.mean_distance_of_correct(DISTANCE[:4], CORRECT[:4]) == pytest.approx(3.5 / 3)
    assert metrics.mean_distance(DISTANCE) == math.inf
    # The image of length zero is left out.
    assert metrics.rho_adv_of_correct(DISTANCE[:4], NORM[:4], CORRECT[:4]) == pytest.approx(0.375)
    assert metrics.rho_adv_of_estimates(DISTANCE[:4], NORM[:4]) == pytest.approx(0.25)


def test_tensors_are_taken() -> None:
    assert metrics.median_distance(torch.tensor(DISTANCE), torch.tensor(CORRECT)) == 1.5


def test_nothing_to_sum_up() -> None:
    assert math.isnan(metrics.median_distance([0.0], [False]))
    assert math.isnan(metrics.mean_distance_of_correct([0.0], [False]))
    assert math.isnan(metrics.rho_adv_of_correct([0.0], [1.0], [False]))
    low, high = metrics.bootstrap_median([0.0], [False], np.random.default_rng(0))
    assert math.isnan(low)
    assert math.isnan(high)
    # More than half of the images cannot be fooled: the median is infinite.
    assert metrics.median_distance([1, math.inf, math.inf], [True] * 3) == math.inf


@settings(deadline=None, max_examples=50)
@given(
    distance=st.lists(st.floats(0, 10) | st.just(math.inf), min_size=1, max_size=20),
    limit=st.floats(0.1, 20),
)
def test_the_area_is_that_under_the_curve(distance: list[float], limit: float) -> None:
    edges = np.unique([0.0, limit, *(d for d in distance if d < limit)])
    curve = metrics.accuracy_at(distance, edges[:-1])
    area = metrics.area_under_accuracy(distance, limit)
    assert area == pytest.approx(float((curve * np.diff(edges)).sum()))
    assert (np.diff(curve) <= 0).all()


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    everything = [True] * 60
    hits = 0
    for _ in range(100):
        sample = generator.exponential(size=60)
        low, high = metrics.bootstrap_median(sample, everything, generator, resamples=200)
        hits += low <= math.log(2) <= high
    assert 0.89 <= hits / 100 <= 1


def test_the_interval_is_reproducible_and_takes_infinities() -> None:
    values = [1.0, 2.0, math.inf, math.inf, math.inf, 3.0, 4.0]
    first = metrics.bootstrap_median(values, [True] * 7, np.random.default_rng(5))
    again = metrics.bootstrap_median(values, [True] * 7, np.random.default_rng(5))
    assert first == again
    assert first.low < 4
    assert first.high == math.inf


@pytest.mark.parametrize("distance", [[], [-1.0], [math.nan], [[1.0]]])
def test_distances_that_are_refused(distance: list[float]) -> None:
    with pytest.raises(InputError, match="distances have the shape"):
        metrics.mean_distance(distance)


@pytest.mark.parametrize("limit", [0, -1, math.inf])
def test_limits_that_are_refused(limit: float) -> None:
    with pytest.raises(InputError, match="limit is"):
        metrics.area_under_accuracy(DISTANCE, limit)


@pytest.mark.parametrize("confidence", [0, 1])
def test_confidences_that_are_refused(confidence: float) -> None:
    with pytest.raises(InputError, match="confidence is"):
        metrics.bootstrap_median(DISTANCE, CORRECT, np.random.default_rng(0), confidence=confidence)

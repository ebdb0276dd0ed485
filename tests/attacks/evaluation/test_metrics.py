"""Summaries against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.attacks.evaluation import metrics
from robench.attacks.evaluation.metrics import Distances
from robench.errors import InputError

DISTANCE = [0.0, 0.5, 1.0, 2.0, math.inf]
CORRECT = [False, True, True, True, True]
NORM = [4.0, 2.0, 2.0, 0.0, 8.0]


def distances(count: int = 5, **change: object) -> Distances:
    """The first so many of the images above."""
    fields = {
        "distance": np.array(DISTANCE[:count]),
        "correct": np.array(CORRECT[:count]),
        "norm": np.array(NORM[:count]),
    }
    return Distances(**{**fields, **change})


def values(of: Distances, limit: float = 1.5) -> dict[str, float]:
    return {name: figure.value for name, figure in of.figures(limit, seed=0).items()}


def test_hand_computed() -> None:
    assert metrics.robust_accuracy(DISTANCE, [0, 0.5, 0.7, 2, 100]).tolist() == pytest.approx(
        [0.8, 0.6, 0.6, 0.2, 0.2]
    )
    assert metrics.area_under_accuracy(DISTANCE, 1.5) == pytest.approx((0.5 + 1 + 1.5 + 1.5) / 5)
    assert metrics.median_distance(DISTANCE, CORRECT) == 1.5
    with pytest.warns(DeprecationWarning, match=r"is called robust_accuracy\(\) now"):
        assert metrics.accuracy_at(DISTANCE, [0.7]) == metrics.robust_accuracy(DISTANCE, [0.7])
    # The image of length zero is left out.
    assert metrics.rho_adv_of_estimates(DISTANCE[:4], NORM[:4]) == pytest.approx(0.25)


def test_every_convention_by_hand() -> None:
    of_estimates = np.array([0.4, 0.5, 1.0, 2.0])
    assert values(distances(4, of_estimates=of_estimates)) == pytest.approx(
        {
            "median_l2": 1.0,
            "eps_50": 1.0,
            "l2_area": (0.5 + 1 + 1.5) / 4,
            "l2_area_share": (0.5 + 1 + 1.5) / 4 / 1.5,
            "l2_area_of_correct": (0.5 + 1 + 1.5) / 3,
            "mean_l2": 3.5 / 4,
            "mean_l2_of_correct": 3.5 / 3,
            # The image of length zero is left out.
            "mean_l2_normalised": (0 + 0.25 + 0.5) / 3,
            "rho_adv": (0.25 + 0.5) / 2,
            "rho_adv_deepfool": (0.1 + 0.25 + 0.5) / 3,
        }
    )


def test_what_was_not_found_counts_in_areas_and_medians_alone() -> None:
    found = values(distances())
    assert found["median_l2"] == 1.5
    assert found["eps_50"] == 1.0
    assert found["l2_area"] == pytest.approx((0.5 + 1 + 1.5 + 1.5) / 5)
    assert found["mean_l2"] == found["mean_l2_of_correct"] == found["rho_adv"] == math.inf
    assert "rho_adv_deepfool" not in found


@settings(deadline=None, max_examples=50)
@given(
    distance=st.lists(st.floats(0, 10) | st.just(math.inf), min_size=1, max_size=20),
    limit=st.floats(0.1, 20),
)
def test_the_area_is_that_under_the_curve(distance: list[float], limit: float) -> None:
    edges = np.unique([0.0, limit, *(d for d in distance if d < limit)])
    curve = metrics.robust_accuracy(distance, edges[:-1])
    area = metrics.area_under_accuracy(distance, limit)
    assert area == pytest.approx(float((curve * np.diff(edges)).sum()))
    assert (np.diff(curve) <= 0).all()


@settings(deadline=None, max_examples=50)
@given(distance=st.lists(st.floats(0, 10) | st.just(math.inf), min_size=1, max_size=20))
def test_at_eps_50_the_accuracy_is_halved_and_not_before(distance: list[float]) -> None:
    given_ = np.array(distance)
    correct = given_ > 0
    found = Distances(given_, correct, np.ones(len(given_)))
    radius = found.figures(1.0, seed=0, resamples=1)["eps_50"].value
    if not correct.any():
        assert math.isnan(radius)
    elif math.isfinite(radius):
        # In whole images, which do not round.
        assert 2 * (given_ > radius).sum() <= correct.sum()
        assert 2 * (given_ > np.nextafter(radius, 0)).sum() > correct.sum()


def test_intervals_hold_the_value_and_are_reproducible() -> None:
    generator = np.random.default_rng(0)
    distance = generator.exponential(size=200)
    correct = generator.random(200) < 0.9
    of = Distances(np.where(correct, distance, 0), correct, np.full(200, 5.0), distance)
    first, again = of.figures(1.0, seed=4), of.figures(1.0, seed=4)
    assert first == again
    assert all(figure.low < figure.value < figure.high for figure in first.values())
    # The same images in the same resamples: a fifth of the distance is a fifth of everything.
    assert first["mean_l2_normalised"] == pytest.approx([x / 5 for x in first["mean_l2"]])


def test_tensors_are_taken() -> None:
    assert metrics.median_distance(torch.tensor(DISTANCE), torch.tensor(CORRECT)) == 1.5


def test_nothing_to_sum_up() -> None:
    assert math.isnan(metrics.median_distance([0.0], [False]))
    assert math.isnan(metrics.rho_adv_of_estimates([0.0], [0.0]))
    found = distances(1).figures(1.0, seed=0)
    # One image says nothing of others.
    assert found["mean_l2"] == pytest.approx((0, math.nan, math.nan), nan_ok=True)
    assert found["l2_area"].value == 0
    assert found["l2_area"].high > 0.5
    assert all(map(math.isnan, found["median_l2"]))
    assert math.isnan(found["rho_adv"].value)
    # More than half of the images cannot be fooled: the median is infinite.
    assert metrics.median_distance([1, math.inf, math.inf], [True] * 3) == math.inf


@pytest.mark.parametrize("distance", [[], [-1.0], [math.nan], [[1.0]]])
def test_distances_that_are_refused(distance: list[float]) -> None:
    with pytest.raises(InputError, match="distances have the shape"):
        metrics.area_under_accuracy(distance, 1.0)


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="5 distances beside"):
        distances(norm=np.ones(4))
    with pytest.raises(InputError, match="distances have the shape"):
        distances(of_estimates=np.full(5, -1.0))


@pytest.mark.parametrize("limit", [0, -1, math.inf])
def test_limits_that_are_refused(limit: float) -> None:
    with pytest.raises(InputError, match="limit is"):
        metrics.area_under_accuracy(DISTANCE, limit)
    with pytest.raises(InputError, match="limit is"):
        distances().figures(limit, seed=0)

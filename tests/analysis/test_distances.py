"""Paired comparison of attacked networks: by hand, against scipy, and where pairing matters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import gmean

from robench.analysis.distances import Attacked, compare_distances
from robench.errors import InputError


def attacked(*distance: float, index: list[int] | None = None) -> Attacked:
    values = np.array(distance)
    places = np.arange(len(values)) if index is None else np.array(index)
    return Attacked(places, values, values > 0)


def test_by_hand() -> None:
    sparse, dense = attacked(0, 1, 2, 3, 0), attacked(1, 2, 2, 4, 0)
    found = compare_distances(sparse, dense, limit=3.5)
    assert found is not None
    assert (found.n, found.further, found.nearer) == (5, 0, 3)
    assert found.ratio_of_medians.value == 1 / 2
    assert found.ratio_of_areas.value == pytest.approx((1 + 2 + 3) / (1 + 2 + 2 + 3.5))
    # The first image is at zero in one network alone.
    assert math.isnan(found.geometric_mean_ratio.value)
    assert found.p_value == pytest.approx(2 * 0.5**3)
    both = compare_distances(sparse, dense, limit=3.5, over="both-correct")
    assert both is not None
    assert (both.n, both.nearer) == (3, 2)
    assert both.ratio_of_medians.value == 1
    assert both.geometric_mean_ratio.value == pytest.approx((1 / 2 * 1 * 3 / 4) ** (1 / 3))


def test_the_same_network_is_no_nearer() -> None:
    same = attacked(0, 1, 2, math.inf)
    found = compare_distances(same, same, limit=3)
    assert found is not None
    assert found.p_value == 1
    # Four ties do not say that all images tie.
    assert found.geometric_mean_ratio == pytest.approx((1, math.nan, math.nan), nan_ok=True)
    assert found.ratio_of_areas.value == 1
    assert found.ratio_of_areas.low < 0.9
    assert found.ratio_of_areas.high > 1.1


def test_images_are_matched_by_their_position() -> None:
    sparse = attacked(1, 2, 3, index=[7, 3, 5])
    dense = attacked(30, 10, 20, index=[5, 7, 3])
    found = compare_distances(sparse, dense, limit=100)
    assert found is not None
    assert found.geometric_mean_ratio == pytest.approx((0.1, 0.1, 0.1))


def test_pairing_narrows_the_interval_and_agrees_with_scipy() -> None:
    generator = np.random.default_rng(0)
    dense = generator.exponential(size=120) + 0.1
    sparse = dense * np.exp(generator.normal(-0.1, 0.05, size=120))
    paired = compare_distances(attacked(*sparse), attacked(*dense), limit=10, resamples=2000)
    shuffled = compare_distances(
        attacked(*generator.permutation(sparse)), attacked(*dense), limit=10, resamples=2000
    )
    assert paired is not None
    assert shuffled is not None
    found = paired.geometric_mean_ratio
    assert found.value == pytest.approx(gmean(sparse / dense))
    assert (
        found.high - found.low
        < (shuffled.geometric_mean_ratio.high - shuffled.geometric_mean_ratio.low) / 5
    )
    theirs = scipy_bootstrap(
        (sparse / dense,), gmean, n_resamples=2000, method="percentile", random_state=generator
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=3e-3)
    assert paired.p_value < 1e-6 < shuffled.p_value


def test_nothing_to_compare() -> None:
    found = compare_distances(attacked(0, 1), attacked(1, 0), limit=1, over="both-correct")
    assert found is None


def test_a_figure_that_does_not_exist_has_no_bounds() -> None:
    """Infinite over infinite, 0 over 0: the bounds were those of the resamples that are defined."""
    sparse = attacked(*[math.inf] * 12, *[1.0] * 8)
    dense = attacked(*[math.inf] * 11, *[2.0] * 9)
    found = compare_distances(sparse, dense, limit=1)
    assert found is not None
    for figure in (found.ratio_of_medians, found.geometric_mean_ratio):
        assert all(map(math.isnan, figure))
    assert all(map(math.isfinite, found.ratio_of_areas))
    wrong = attacked(*[0.0] * 20)
    assert all(map(math.isnan, compare_distances(wrong, wrong, limit=1).ratio_of_medians))
    over_zero = compare_distances(attacked(*range(1, 8)), attacked(*[0] * 6, 1), limit=1)
    assert over_zero.ratio_of_medians == pytest.approx((math.inf, math.nan, math.nan), nan_ok=True)


def test_what_is_not_defined_in_some_resamples_is_open_there() -> None:
    """A median that nearly half of the images have not: its ratio may be anything."""
    sparse = attacked(*[math.inf] * 9, *[1.0] * 11)
    dense = attacked(*[math.inf] * 9, *[2.0] * 11)
    found = compare_distances(sparse, dense, limit=1)
    assert found.ratio_of_medians == (0.5, 0, math.inf)


def test_few_images_have_no_interval_of_a_median() -> None:
    for n in range(1, 7):
        found = compare_distances(attacked(*range(1, n + 1)), attacked(*range(2, n + 2)), limit=9)
        assert math.isfinite(found.ratio_of_medians.value)
        assert math.isfinite(found.ratio_of_medians.low) == (n >= 6)
        assert math.isfinite(found.geometric_mean_ratio.low) == (n >= 2)


@pytest.mark.parametrize("limit", [0, -1.0, math.inf, math.nan])
def test_a_limit_that_is_none(limit: float) -> None:
    with pytest.raises(InputError, match="limit is"):
        compare_distances(attacked(1, 2), attacked(1, 2), limit=limit)


def test_lists_and_flags_as_numbers_are_read_alike() -> None:
    one = Attacked([4, 2], [1.0, 0.0], [1, 0])
    other = Attacked(np.array([2, 4], dtype=np.int16), np.float32([0.5, 2]), np.ones(2))
    found = compare_distances(one, other, limit=3, over="both-correct")
    assert (found.n, found.geometric_mean_ratio.value) == (1, pytest.approx(0.5))
    with pytest.raises(InputError, match="image by image"):
        Attacked([1], [math.nan], [True])
    with pytest.raises(InputError, match="image by image"):
        Attacked([1], [1.0], [0.5])


def test_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="not the same"):
        compare_distances(attacked(1, 2), attacked(1, 2, index=[0, 2]), limit=1)
    with pytest.raises(InputError, match="not the same"):
        compare_distances(attacked(1, 2), attacked(1), limit=1)


@pytest.mark.parametrize(
    ("index", "distance"), [([0, 0], [1.0, 1.0]), ([0, 1], [1.0, -1.0]), ([0], [1.0, 2.0])]
)
def test_unsound_arrays_are_refused(index: list[int], distance: list[float]) -> None:
    with pytest.raises(InputError, match="image by image"):
        Attacked(np.array(index), np.array(distance), np.ones(len(distance), dtype=bool))

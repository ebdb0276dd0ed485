"""The bootstrap: against numpy's statistics of the resampled values themselves, and coverage."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta

from robench.errors import InputError
from robench.stats.resampling import (
    bootstrap,
    mean,
    mean_figure,
    median,
    median_figure,
    ratio_of_bounded_means,
)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.sampled_from([0.0, 1.0, 2.5, 3.0, 7.0, math.inf]), min_size=1, max_size=9),
    data=st.data(),
)
def test_counting_is_repeating(values: list[float], data: st.DataObject) -> None:
    size = len(values)
    counts = np.array([data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))])
    array = np.array(values)
    repeated = np.repeat(array, counts[0])
    weights = counts.astype(np.float64)
    with np.errstate(invalid="ignore"):
        found = [mean(array, weights), median(array, weights), median(array, weights, lower=True)]
    if not len(repeated):
        assert np.isnan(found).all()
        return
    middle = np.sort(repeated)[(len(repeated) - 1) // 2]
    expected = [np.mean(repeated), np.median(repeated), middle]
    np.testing.assert_allclose(np.concatenate(found), expected)


def test_statistics_of_nothing() -> None:
    nothing = np.ones((2, 0))
    assert np.isnan(median(np.array([]), nothing)).all()
    with np.errstate(invalid="ignore"):
        assert np.isnan(mean(np.array([]), nothing)).all()


def test_one_resampling_is_shared_by_all_statistics() -> None:
    values = np.arange(20.0)
    found = bootstrap(
        {"one": partial(mean, values), "ten": partial(mean, 10 * values)}, len(values), seed=3
    )
    assert found["ten"] == pytest.approx([10 * number for number in found["one"]])
    difference = bootstrap(
        {"none": lambda counts: mean(values, counts) - mean(values, counts)}, len(values), seed=3
    )
    assert difference["none"] == (0, 0, 0)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).exponential(size=50)
    statistics = {"mean": partial(mean, values)}
    whole = bootstrap(statistics, 50, seed=1, resamples=200)["mean"]
    monkeypatch.setattr("robench.stats.resampling._BLOCK", 350)
    # Products of blocks are summed in another order.
    again = bootstrap(statistics, 50, seed=1, resamples=200)["mean"]
    assert again == pytest.approx(whole, rel=1e-12)
    assert bootstrap(statistics, 50, seed=2, resamples=200)["mean"].low != whole.low


def test_intervals_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    hits = {"mean": 0, "median": 0}
    for trial in range(150):
        values = generator.exponential(size=80)
        found = bootstrap(
            {"mean": partial(mean, values), "median": partial(median, values)},
            80,
            seed=trial,
            resamples=300,
        )
        for name, truth in (("mean", 1.0), ("median", math.log(2))):
            hits[name] += found[name].low <= truth <= found[name].high
    assert all(0.88 <= count / 150 <= 0.99 for count in hits.values()), hits


def test_infinities_and_undefined_resamples() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, math.inf, math.inf, math.inf])
    found = bootstrap({"median": partial(median, values)}, 7, seed=5)["median"]
    assert found.value == 4
    assert found.low < 4
    assert found.high == math.inf
    # Only the first image is in the mean.
    alone = bootstrap({"first": lambda counts: mean(values[:1], counts[:, :1])}, 7, seed=5)
    assert alone["first"] == pytest.approx((1, 1, 1))
    never = bootstrap({"none": lambda counts: np.full(len(counts), math.nan)}, 7, seed=5)
    assert all(map(math.isnan, never["none"]))


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"resamples": 0}, {"confidence": 0.0}, {"confidence": 1.0}]
)
def test_what_cannot_be_resampled(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="resamples is"):
        bootstrap({}, **{"n": 3, "seed": 0, **wrong})


def test_an_interval_has_no_end_where_too_many_resamples_are_undefined() -> None:
    values = np.array([1.0, *[math.inf] * 9])

    def ratio(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        # Not defined in the resamples in which the first value does not outweigh a tenth.
        share = weights[:, 0] / weights.sum(axis=1)
        return np.where(share >= 0.1, values[0] * share, math.nan)

    found = bootstrap({"ratio": ratio}, 10, seed=0)["ratio"]
    assert (found.value, found.low, found.high) == (0.1, -math.inf, math.inf)


def test_shares_at_the_ceiling_have_the_interval_of_jeffreys() -> None:
    """Half an observation at each end: a Beta(k + ½, n − k + ½) distribution."""
    for right in (20, 19, 10):
        values = np.array([1.0] * right + [0.0] * (20 - right) + [0.0, 1.0])
        found = bootstrap({"share": partial(mean, values)}, 20, seed=0, ends=2, resamples=20_000)
        bounds = beta.ppf([0.025, 0.975], right + 0.5, 20 - right + 0.5)
        assert found["share"][0] == right / 20
        assert found["share"][1:] == pytest.approx(tuple(bounds), abs=4e-3)


def test_medians_by_order_statistics() -> None:
    values = np.random.default_rng(0).exponential(size=25)
    # Of 25 fair coins 8 to 17 are heads with 95.7 %: the 8th and the 18th value.
    ordered = np.sort(values)
    assert median_figure(values) == (ordered[12], ordered[7], ordered[17])
    censored = np.array([1.0, 2, 3, 4, 5, 6, *[math.inf] * 6])
    assert median_figure(censored) == (math.inf, 3, math.inf)
    assert median_figure(censored, lower=True).value == 6
    assert all(map(math.isnan, median_figure(np.array([]))))


def test_means_by_logarithms() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    found = mean_figure(values)
    error = values.std(ddof=1) / 2 / 3
    assert found == pytest.approx(
        (3, 3 * math.exp(-3.182446 * error), 3 * math.exp(3.182446 * error))
    )
    for none in ([2.0], [2.0, 2.0], [0.0, 0.0], []):
        assert np.isnan(mean_figure(np.array(none))[1:]).all()
    assert mean_figure(np.array([1.0, math.inf])).value == math.inf


def test_a_ratio_of_means_with_both_at_the_ceiling() -> None:
    found = ratio_of_bounded_means(np.full(20, 3.0), np.full(20, 3.0), 3.0, seed=0)
    assert found.value == 1
    assert 0.8 < found.low < 0.97
    assert found.high == pytest.approx(1 / found.low, rel=0.03)

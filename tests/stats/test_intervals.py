from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import ttest_1samp

from robench.errors import InputError
from robench.stats.intervals import (
    Bounds,
    Interval,
    difference,
    fieller,
    student_t,
    t_half_width,
    widen,
    wilson,
)
from robench.stats.proportion import wilson_interval

# Hours of sleep gained under two drugs by ten patients: the data of Student 1908.
SLEEP_A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

few = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


def test_students_own_data_give_the_published_interval() -> None:
    found = student_t(np.subtract(SLEEP_B, SLEEP_A))
    assert found.value == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert found.n == 10


@settings(deadline=None, max_examples=50)
@given(few)
def test_student_t_is_scipys(values: list[float]) -> None:
    assume(np.ptp(values) > 1e-6)
    found = student_t(values, confidence=0.8)
    expected = stats.t.interval(0.8, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_one_seed_has_no_interval() -> None:
    assert student_t([0.93]) == Interval(0.93, None, None, 1)
    assert student_t([]) == Interval(None, None, None, 0)


@pytest.mark.parametrize(("n", "widths"), [(3, 2.48), (5, 1.24), (10, 0.72)])
def test_half_widths_in_units_of_the_deviation(n: int, widths: float) -> None:
    assert float(t_half_width(1.0, n)) == pytest.approx(widths, abs=0.005)


def test_a_geometric_mean_of_ratios() -> None:
    found = student_t([1.0, 4.0], geometric=True)
    logs = student_t([0.0, np.log(4.0)])
    assert found.value == pytest.approx(2.0)
    assert logs.low is not None
    assert found.low == pytest.approx(np.exp(logs.low))
    assert found.low is not None
    assert found.high is not None
    assert found.low * found.high == pytest.approx(4.0)  # symmetric about 2 on the log scale


@pytest.mark.parametrize(
    "call",
    [
        lambda: student_t([1.0, 2.0], confidence=1.0),
        lambda: student_t([1.0, float("nan")]),
        lambda: student_t([[1.0, 2.0]]),
        lambda: student_t([1.0, 0.0], geometric=True),
    ],
)
def test_what_cannot_be_computed_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()


def test_fieller_by_its_definition() -> None:
    """At the bounds the t test of a − r b against 0 just does not reject."""
    up, down = np.array([0.1, 0.3, 0.2, 0.25]), np.array([0.7, 0.9, 0.6, 0.8])
    found = fieller(up, down)
    assert found.value == pytest.approx(up.mean() / down.mean())
    for bound in (found.low, found.high):
        assert ttest_1samp(up - bound * down, 0).pvalue == pytest.approx(0.05)
    scaled = fieller(-up, 10 * down)
    assert (scaled.low, scaled.high) == pytest.approx((-found.high / 10, -found.low / 10))


def test_fieller_where_any_ratio_is_possible() -> None:
    assert fieller([1.0, 2.0], [3.0, -1.0]) == Interval(1.5, None, None, 2)
    assert fieller([1.0], [2.0]) == Interval(0.5, None, None, 1)
    assert fieller([1.0, 2.0], [-3.0, 1.0]).value is None
    assert fieller([], []) == Interval(None, None, None, 0)
    for up, down in (([1.0], [1.0, 2.0]), ([math.nan], [1.0]), ([1.0, 1.0], [math.inf, 1.0])):
        with pytest.raises(InputError, match="no ratio of values"):
            fieller(up, down)


def test_wilson_of_many_shares() -> None:
    found = wilson([0.8, 1.0, math.nan, 0.5], [10, 20, 5, math.nan])
    assert (found.low[0], found.high[0]) == pytest.approx(wilson_interval(8, 10))
    assert (found.low[1], found.high[1]) == pytest.approx(wilson_interval(20, 20))
    assert np.isnan([found.low[2:], found.high[2:]]).all()
    assert wilson([], []).value.shape == (0,)


def test_wilson_and_newcombe_are_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    counts, n = np.array([96, 50, 20, 0]), np.array([100, 70, 20, 30])
    theirs = proportion.proportion_confint(counts, n, method="wilson")
    assert np.allclose(wilson(counts / n, n)[1:], theirs)
    found = difference(wilson(0.96, 100), wilson(50 / 70, 70))
    low, high = proportion.confint_proportions_2indep(96, 100, 50, 70, method="newcomb")
    assert (float(found.low), float(found.high)) == pytest.approx((low, high))


def test_widening_adds_squares_and_keeps_the_ends_apart() -> None:
    images = Bounds(np.array([0.9, 0.9]), np.array([0.86, math.nan]), np.array([0.93, math.nan]))
    found = widen([0.9, 0.9], [0.04, 0.03], images)
    assert found.low.tolist() == pytest.approx([0.9 - math.hypot(0.04, 0.04), 0.87])
    assert found.high.tolist() == pytest.approx([0.95, 0.93])

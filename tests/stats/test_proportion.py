"""Wilson's interval of a proportion, against its definition and against scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from robench.stats.proportion import NORMAL_95, wilson_interval


def test_the_quantile_is_that_of_the_normal_distribution() -> None:
    assert pytest.approx(norm.ppf(0.975), abs=1e-15) == NORMAL_95


@given(st.integers(1, 2000), st.data())
def test_it_is_that_of_scipy(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx(tuple(expected), abs=1e-12)


@given(st.integers(1, 500), st.floats(0, 1))
def test_its_ends_are_as_far_from_the_share_as_their_own_errors(n: int, share: float) -> None:
    for end in wilson_interval(share * n, n):
        deviation = math.sqrt(end * (1 - end) / n)
        assert abs(share - end) == pytest.approx(NORMAL_95 * deviation, abs=1e-6)


def test_no_trials_leave_it_open() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from robench.spec import Metric, json_number
from robench.stats.proportion import wilson_interval


@given(
    st.integers(min_value=1, max_value=5000).flatmap(
        lambda n: st.tuples(st.integers(min_value=0, max_value=n), st.just(n))
    )
)
def test_wilson_agrees_with_scipy(counts: tuple[int, int]) -> None:
    successes, n = counts
    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    low, high = wilson_interval(successes, n)
    assert low == pytest.approx(theirs.low, abs=1e-12)
    assert high == pytest.approx(theirs.high, abs=1e-12)


def test_no_trials_say_nothing() -> None:
    metric = Metric.share("accuracy", 0, 0)
    assert metric.value is None
    assert (metric.low, metric.high) == (0.0, 1.0)


def test_infinite_levels_survive_json() -> None:
    metric = Metric.share("accuracy", 3, 4, kind="high-pass", test_level=json_number(math.inf))
    again = Metric.model_validate_json(metric.model_dump_json())
    assert again == metric
    assert float(again.condition["test_level"]) == math.inf
    assert again.value == 0.75

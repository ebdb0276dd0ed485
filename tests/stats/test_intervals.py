from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from robench.errors import InputError
from robench.stats import paired_difference, student_t
from robench.stats.intervals import Interval, t_half_width

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


def test_differences_are_paired_by_seed() -> None:
    a = dict(enumerate(SLEEP_A)) | {77: 5.0}
    b = dict(enumerate(SLEEP_B)) | {99: -5.0}
    found = paired_difference(b, a)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert found.n == 10
    assert paired_difference({0: 1.0}, {1: 1.0}).value is None


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

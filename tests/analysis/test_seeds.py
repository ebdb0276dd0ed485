from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.analysis import over_seeds
from robench.errors import InputError
from robench.stats.intervals import student_t


def frame_of(groups: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        (name, seed, value) for name, values in groups.items() for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["method", "seed", "value"])


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.lists(st.floats(0.01, 10), min_size=2, max_size=5),
        min_size=1,
    ),
    st.booleans(),
)
def test_each_group_is_students_interval(groups: dict[str, list[float]], geometric: bool) -> None:
    found = over_seeds(frame_of(groups), ["method"], geometric=geometric).set_index("method")
    assert sorted(found.index) == sorted(groups)
    for name, values in groups.items():
        expected = student_t(values, geometric=geometric)
        row = found.loc[name]
        assert row["seeds"] == len(values)
        got = (row["value"], row["low"], row["high"])
        want = (expected.value, expected.low, expected.high)
        assert got == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_one_seed_has_a_value_and_no_interval() -> None:
    row = over_seeds(frame_of({"a": [0.5]}), ["method"]).iloc[0]
    assert (row["value"], row["seeds"]) == (0.5, 1)
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])


@pytest.mark.parametrize("missing", [float("nan"), float("inf")])
def test_a_seed_without_a_value_leaves_no_mean(missing: float) -> None:
    row = over_seeds(frame_of({"a": [1.0, missing, 2.0]}), ["method"]).iloc[0]
    assert math.isnan(row["value"])
    assert (row["seeds"], row["without"]) == (3, 1)


def test_intervals_are_cut_at_what_is_possible() -> None:
    row = over_seeds(frame_of({"a": [0.9, 1.0]}), ["method"], bounds=(0, 1)).iloc[0]
    assert row["high"] == 1
    assert row["low"] == pytest.approx(0.95 - 12.7062 * 0.05, abs=1e-4)


def test_missing_keys_are_a_group_of_their_own() -> None:
    frame = frame_of({"a": [1.0, 2.0]}).assign(kind=[None, None])
    assert over_seeds(frame, ["method", "kind"])["value"].tolist() == [1.5]


def test_a_seed_twice_is_refused() -> None:
    frame = pd.concat([frame_of({"a": [1.0]}), frame_of({"a": [2.0]})])
    with pytest.raises(InputError, match="two values in one group"):
        over_seeds(frame, ["method"])


def test_own_intervals_of_the_seeds_add_to_that_over_seeds() -> None:
    frame = frame_of({"a": [0.5, 0.6, 0.7]}).assign(low=[0.4, 0.5, 0.6], high=[0.62, 0.7, 0.78])
    row = over_seeds(frame, ["method"]).iloc[0]
    half = student_t([0.5, 0.6, 0.7])
    assert row["low"] == pytest.approx(0.6 - math.hypot(0.6 - half.low, 0.1))
    assert row["high"] == pytest.approx(0.6 + math.hypot(half.high - 0.6, 0.1))
    ratios = frame_of({"a": [2.0, 2.0]}).assign(low=1.0, high=4.0)
    row = over_seeds(ratios, ["method"], geometric=True).iloc[0]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((2, 1, 4))


def test_an_interval_without_an_end_has_none_over_seeds() -> None:
    """A median that the images leave open above: half of them were not found, or nearly."""
    frame = frame_of({"a": [2.0, 2.0]}).assign(low=[1.0, 1.0], high=[3.0, None])
    for geometric in (False, True):
        row = over_seeds(frame, ["method"], geometric=geometric).iloc[0]
        assert (row["value"], row["low"], row["high"]) == pytest.approx((2, 1, math.inf))


def test_other_types_and_empty_frames() -> None:
    frame = frame_of({"a": [1.0, 2.0]})
    expected = over_seeds(frame, ["method"])
    for kind in ("Float64", "object", "int64"):
        found = over_seeds(frame.assign(value=frame["value"].astype(kind)), ["method"])
        pd.testing.assert_frame_equal(found, expected)
    unknown = frame.assign(value=pd.array([1.0, None], dtype="Float64"))
    assert over_seeds(unknown, ["method"])["without"].tolist() == [1]
    assert over_seeds(frame[:0], ["method"]).empty


def test_columns_that_are_missing_are_named() -> None:
    frame = frame_of({"a": [1.0]})
    for wrong, by in ((frame.drop(columns="seed"), ["method"]), (frame, ["level"])):
        with pytest.raises(InputError, match="no column"):
            over_seeds(wrong, by)
    with pytest.raises(InputError, match="no column makes groups"):
        over_seeds(frame, [])
    with pytest.raises(InputError, match="confidence"):
        over_seeds(frame, ["method"], confidence=95)

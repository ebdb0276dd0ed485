from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.errors import InputError
from robench.stats import over_seeds, student_t


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

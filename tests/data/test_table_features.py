"""Columns as features: medians, indicators, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robench.data.table_features import as_text, features_of
from robench.errors import DataError

TRAINING = np.array([0, 1, 2, 3])


def features(**columns: list[object]) -> dict[str, list[float]]:
    values, names = features_of(pd.DataFrame(columns), by=TRAINING, categorical=(), file="t.csv")
    return dict(zip(names, values.T.tolist(), strict=True))


def test_a_missing_number_is_the_median_of_the_training_rows() -> None:
    found = features(age=[1.0, 2.0, None, 9.0, 100.0])
    assert found == {"age": [1, 2, 2, 9, 100], "age is missing": [0, 0, 1, 0, 0]}


def test_a_category_that_training_rows_lack_is_none_of_theirs() -> None:
    found = features(colour=["red", "blue", "red", "blue", "green", "red"])
    assert found == {"colour=blue": [0, 1, 0, 1, 0, 0], "colour=red": [1, 0, 1, 0, 0, 1]}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([1, 1, 1, 1, 1], "the same value"),
        ([None] * 5, "no value at all"),
        ([None, None, None, None, 1.0], "none of the training rows"),
        (["a", "b", "c", "d", "e"], "are no categories"),
        ([1.0, 2.0, float("inf"), 4.0, 5.0], "infinite"),
    ],
)
def test_columns_that_say_nothing_are_refused(column: list[object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        features(mine=column)


def test_whole_numbers_have_no_point_as_text() -> None:
    assert as_text(pd.Series([1.0, 2.5, None])).tolist() == ["1", "2.5", None]

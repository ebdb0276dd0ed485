"""Answers of one network on graded images, and two systems' answers side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from robench.errors import InputError
from robench.spec import Cell, Record
from robench.stats.trials import Columns, paired_trials, trials


def test_one_row_for_each_image_and_condition(make_cell: Callable[..., Cell]) -> None:
    cell = make_cell(stage="degrade")
    details = {"conditions": ["contrast 0.1", "contrast 0.5"]}
    record = Record(id=cell.id, cell=cell, status="ok", details=details)
    arrays = {
        "index": np.array([7, 9]),
        "label": np.array([1, 2]),
        "answers": np.array([[1, 1], [0, 2]]),
    }
    found = trials(record, arrays)
    assert found["image"].tolist() == [7, 9, 7, 9]
    assert found["condition"].tolist() == ["contrast 0.1"] * 2 + ["contrast 0.5"] * 2
    assert found["label"].tolist() == [1, 2, 1, 2]
    assert found["answer"].tolist() == [1, 1, 0, 2]
    with pytest.raises(InputError, match="kept no answers"):
        trials(record, {})


def table(images: list[int], correct: list[bool]) -> pd.DataFrame:
    return pd.DataFrame({"image": images, "condition": "noise", "correct": correct})


def test_trials_of_either_system_are_kept_and_marked() -> None:
    a, b = table([1, 2], [True, False]), table([2, 3], [True, True])
    found = paired_trials(a, b, Columns()).set_index("image").sort_index()
    assert found["in_a"].tolist() == [True, True, False]
    assert found["in_b"].tolist() == [False, True, True]
    assert found["a"].tolist() == [True, False, False]
    assert found["b"].tolist() == [False, True, True]


def test_an_image_twice_in_a_condition_is_refused() -> None:
    with pytest.raises(InputError):
        paired_trials(table([1, 1], [True, True]), table([1], [True]), Columns())

from __future__ import annotations

import csv
import io

import pandas as pd

from robench.board.render.spreadsheet import csv_of


def test_text_is_no_formula_and_numbers_stay_numbers() -> None:
    frame = pd.DataFrame(
        {
            "method": ["=cmd", "halo", None],
            "value": [-0.5, float("nan"), float("-inf")],
            "seed": pd.array([1, None, -2], dtype="Int64"),
            "severity": [-1.5, "@x", None],
            "=head": [True, False, True],
        }
    )
    rows = list(csv.reader(io.StringIO(csv_of(frame))))
    assert rows == [
        ["method", "value", "seed", "severity", "'=head"],
        ["'=cmd", "-0.5", "1", "-1.5", "True"],
        ["halo", "", "", "'@x", "False"],
        ["", "-inf", "-2", "", "True"],
    ]
    assert list(frame) == ["method", "value", "seed", "severity", "=head"]

"""The claim ``halo``, on made-up records that it holds for, and does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from robench.spec import Record


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["holds", "holds"]),
        ({"at_98": 0.9}, ["does not hold", "holds"]),
        ({"at_99": 0.95}, ["holds", "does not hold"]),  # the better lasso counts
    ],
)
def test_it_holds_or_not(
    made: Callable[..., list[Record]],
    verdicts: Callable[..., list[str]],
    changes: dict[str, Any],
    expected: list[str],
) -> None:
    assert verdicts("halo", made("halo", **changes)) == expected


def test_without_one_kind_of_record_nothing_is_said(
    made: Callable[..., list[Record]], verdicts: Callable[..., list[str]]
) -> None:
    records = made("halo")
    for left_out in {(r.cell.method.plain_label, r.cell.level) for r in records}:
        some = [r for r in records if (r.cell.method.plain_label, r.cell.level) != left_out]
        assert verdicts("halo", some) == []
    failed = [r.model_copy(update={"status": "failed", "metrics": ()}) for r in records]
    assert verdicts("halo", failed) == []

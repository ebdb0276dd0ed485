"""The claim ``rln``, on made-up records that it holds for, and does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from robench.spec import Record


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["holds", "holds", "holds"]),
        ({"edges": 990, "error": 0.5}, ["does not hold", "does not hold", "holds"]),
    ],
)
def test_it_holds_or_not(
    made: Callable[..., list[Record]],
    verdicts: Callable[..., list[str]],
    changes: dict[str, Any],
    expected: list[str],
) -> None:
    assert verdicts("rln", made("rln", **changes)) == expected


def test_without_one_kind_of_record_nothing_is_said(
    made: Callable[..., list[Record]], verdicts: Callable[..., list[str]]
) -> None:
    records = made("rln")
    for left_out in {(r.cell.method.plain_label, r.cell.level) for r in records}:
        some = [r for r in records if (r.cell.method.plain_label, r.cell.level) != left_out]
        assert verdicts("rln", some) == []
    failed = [r.model_copy(update={"status": "failed", "metrics": ()}) for r in records]
    assert verdicts("rln", failed) == []

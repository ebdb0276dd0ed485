"""The claim ``noiseout``, on made-up records that it holds for, and does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from robench.spec import Record


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["holds", "holds", "holds"]),
        ({"gain": 0.01, "accuracy": 0.9}, ["does not hold", "holds", "does not hold"]),
    ],
)
def test_it_holds_or_not(
    made: Callable[..., list[Record]],
    verdicts: Callable[..., list[str]],
    changes: dict[str, Any],
    expected: list[str],
) -> None:
    assert verdicts("noiseout", made("noiseout", **changes)) == expected


def test_without_one_kind_of_record_nothing_is_said(
    made: Callable[..., list[Record]], verdicts: Callable[..., list[str]]
) -> None:
    records = made("noiseout")
    for left_out in {(r.cell.method.plain_label, r.cell.level) for r in records}:
        some = [r for r in records if (r.cell.method.plain_label, r.cell.level) != left_out]
        assert verdicts("noiseout", some) == []
    failed = [r.model_copy(update={"status": "failed", "metrics": ()}) for r in records]
    assert verdicts("noiseout", failed) == []

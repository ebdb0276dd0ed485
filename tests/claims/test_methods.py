"""Claims of the papers' methods, on made-up records that they hold for, and do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from robench.claims import CLAIMS, claim, claims
from robench.claims.base import Evidence
from robench.claims.networks import Networks
from robench.errors import UnknownNameError
from robench.spec import Record
from robench.spec.suite import shipped_suites

Made = Callable[..., list[Record]]


def verdicts(name: str, records: Sequence[Record]) -> list[str]:
    return [
        statement.verdict
        for _, statements in claim(name).judge(Evidence(records, lambda *_: {}))
        for statement in statements
    ]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("ssl", {}, ["holds", "holds"]),
        ("ssl", {"left": 0.5}, ["does not hold", "holds"]),
        ("ssl", {"accuracy": 0.97}, ["holds", "does not hold"]),
        ("halo", {}, ["holds", "holds"]),
        ("halo", {"at_98": 0.9}, ["does not hold", "holds"]),
        ("halo", {"at_99": 0.95}, ["holds", "does not hold"]),  # the better lasso counts
        ("rln", {}, ["holds", "holds", "holds"]),
        ("rln", {"edges": 990, "error": 0.5}, ["does not hold", "does not hold", "holds"]),
        ("noiseout", {}, ["holds", "holds", "holds"]),
        ("noiseout", {"gain": 0.01, "accuracy": 0.9}, ["does not hold", "holds", "does not hold"]),
    ],
)
def test_a_claim_holds_or_not(
    made: Made, name: str, changes: dict[str, Any], expected: list[str]
) -> None:
    assert verdicts(name, made(name, **changes)) == expected


@pytest.mark.parametrize("name", ["ssl", "halo", "rln", "noiseout"])
def test_without_one_kind_of_record_nothing_is_said(made: Made, name: str) -> None:
    records = made(name)
    for left_out in {(r.cell.method.plain_label, r.cell.level) for r in records}:
        some = [r for r in records if (r.cell.method.plain_label, r.cell.level) != left_out]
        assert verdicts(name, some) == []
    failed = [r.model_copy(update={"status": "failed", "metrics": ()}) for r in records]
    assert verdicts(name, failed) == []


def test_networks_are_in_the_order_of_their_seeds(made: Made) -> None:
    found = Networks(made("ssl")[::-1]).of("mlp", "dense", 0.0)
    assert [record.cell.seed for record in found] == [0, 1, 2]


def test_every_claim_names_suites_that_are_there() -> None:
    assert [each.name for each in claims()] == list(CLAIMS)
    for each in claims():
        assert set(each.suites) <= set(shipped_suites())
        assert each.cells
        assert each.sentence.endswith(".")
    with pytest.raises(UnknownNameError, match="hallo"):
        claim("hallo")

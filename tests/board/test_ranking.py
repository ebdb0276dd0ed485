"""What leads when a reader sorts: no broken network, and none that an attack was blind on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.board.model.columns import ACCURACY, AREA, DISTANCE, SPEEDUP, Column, shown
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.model.rows import Row
from robench.board.render.page import page
from robench.board.render.text import summary_text
from robench.spec import PluginRef, Record

Make = Callable[..., list[Record]]


def changed(record: Record, name: str, value: float, **condition: str | float) -> Record:
    metrics = [
        metric.model_copy(update={"value": value, "low": None, "high": None})
        if metric.name == name and condition.items() <= metric.condition.items()
        else metric
        for metric in record.metrics
    ]
    return record.model_copy(update={"metrics": tuple(metrics)})


def with_flag(record: Record, kind: str) -> Record:
    flag = {"name": "blind", "kind": kind, "value": 1.0, "threshold": 0.1, "raised": True,
            "meaning": "the attack saw no gradient"}  # fmt: skip
    return record.model_copy(update={"details": {**record.details, "flags": [flag]}})


@pytest.fixture(scope="module")
def records(make: Make) -> list[Record]:
    """At 50% a broken network, at 80% one with a warning, at 90% one with a note."""
    made = make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        methods=(("dense", ()), ("halo", ()), ("ssl", ())),
        levels=(0.5, 0.8, 0.9),
        seeds=2,
        distortions=(),
        mishaps=False,
    )
    return [_broken(record) for record in made]


def _broken(record: Record) -> Record:
    cell = record.cell
    if cell.method.name != "halo" or cell.stage not in ("train", "attack"):
        return record
    if cell.stage == "train":
        return changed(record, "accuracy", 0.34) if cell.level == 0.5 else record
    median, area, flag = {
        0.5: (9.0, 0.9, None),
        0.8: (8.0, 0.8, "warning"),
        0.9: (7.0, 0.1, "note"),
    }[cell.level]
    attacked = changed(changed(record, "median_l2", median), "l2_area_share", area)
    return with_flag(attacked, flag) if flag else attacked


@pytest.fixture(scope="module")
def board(records: list[Record]) -> Leaderboard:
    return leaderboard(records)


def rank(board: Leaderboard, column: Column, method: str, level: float) -> float | None:
    [row] = [row for row in board.rows if (row.method, row.level) == (method, level)]
    return column.rank_by(row, board.standing(row))


@pytest.mark.parametrize("column", [DISTANCE, AREA])
def test_neither_a_broken_network_nor_a_flagged_one_leads(
    board: Leaderboard, column: Column
) -> None:
    assert rank(board, column, "halo", 0.5) is None
    assert rank(board, column, "halo", 0.8) is None
    assert rank(board, column, "halo", 0.9) == pytest.approx(0.1)  # a note is no warning
    assert rank(board, column, "ssl", 0.9) is not None


def test_distances_are_ordered_by_what_punishes_errors(board: Leaderboard) -> None:
    def leader(key: Callable[[Row], float | None]) -> tuple[str, float]:
        ranked = [(value, row) for row in board.rows if (value := key(row)) is not None]
        best = max(ranked, key=lambda pair: pair[0])[1]
        return best.method, best.level

    by_median = leader(lambda row: row.median_l2.value if row.median_l2 else None)
    assert by_median == ("halo", 0.5)
    assert leader(lambda row: DISTANCE.rank_by(row, board.standing(row)))[0] != "halo"
    for row in board.rows:
        standing = board.standing(row)
        assert DISTANCE.rank_by(row, standing) == AREA.rank_by(row, standing)


def test_what_is_no_robustness_keeps_its_order(board: Leaderboard) -> None:
    assert rank(board, ACCURACY, "halo", 0.5) == pytest.approx(0.34)
    assert rank(board, SPEEDUP, "halo", 0.5) is not None


def test_the_reader_is_told_why(board: Leaderboard) -> None:
    [broken] = [row for row in board.rows if (row.method, row.level) == ("halo", 0.5)]
    assert DISTANCE.basis(broken).endswith("not ranked: its accuracy is far below dense")
    [flagged] = [row for row in board.rows if (row.method, row.level) == ("halo", 0.8)]
    assert "not ranked: flags were raised (blind)" in AREA.basis(flagged)
    assert "ordered by l2 area" in page(board, (), title="t")


def test_the_terminal_says_so(records: list[Record]) -> None:
    lines = summary_text(records, width=160).splitlines()
    assert [line for line in lines if "50%" in line and "far below dense" in line]


def test_a_mean_over_fewer_kinds_is_named_and_not_ranked(
    records: list[Record], board: Leaderboard
) -> None:
    def fewer(record: Record) -> Record:
        if (record.cell.stage, record.cell.method.name, record.cell.level) != (
            "degrade",
            "ssl",
            0.9,
        ):
            return record
        kept = [m for m in record.metrics if m.condition.get("kind") != "rotation"]
        return record.model_copy(update={"metrics": tuple(kept)})

    uneven = leaderboard(map(fewer, records))
    [degraded] = [column for column in shown(uneven.rows) if column.title == "degraded, %"]
    assert degraded.head(uneven.rows) == "degraded, % (6 to 7 kinds)"
    assert rank(uneven, degraded, "ssl", 0.9) is None
    assert rank(uneven, degraded, "ssl", 0.8) is not None
    [row] = [row for row in uneven.rows if (row.method, row.level) == ("ssl", 0.9)]
    assert "mean over 6 of 7 kinds, so that it is not ranked" in degraded.basis(row)
    [column] = [c for c in shown(board.rows) if c.title == "degraded, %"]
    assert column.head(board.rows) == "degraded, % (7 kinds)"


def test_a_metric_that_is_missing_is_not_ranked(board: Leaderboard) -> None:
    row = Row(panel="p", data="d", model="m", training="none", method="x", level=0.5,
              kind=board.rows[0].kind)  # fmt: skip
    assert DISTANCE.rank_by(row, board.standing(board.rows[0])) is None

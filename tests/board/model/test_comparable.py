from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.board.model.leaderboard import leaderboard
from robench.spec import Metric, PluginRef, Recipe, Record

Make = Callable[..., list[Record]]
GRID = {
    "data": ("digits",),
    "models": (PluginRef(name="mlp", version=1),),
    "methods": (("dense", ()), ("magnitude", ())),
    "levels": (0.9,),
    "seeds": 2,
    "distortions": (),
    "mishaps": False,
}


@pytest.fixture(scope="module")
def one(make: Make) -> list[Record]:
    return make(**GRID)


def rebuilt(record: Record, *, started: str = "", **change: object) -> Record:
    """The record of another cell, with the same numbers."""
    cell = record.cell.model_copy(update=change)
    return record.model_copy(
        update={"id": cell.id, "cell": cell, "provenance": {"started": started}}
    )


def test_one_suite_needs_no_more_than_data_and_model(one: list[Record]) -> None:
    assert leaderboard(one).panels == ("digits · mlp",)


@pytest.mark.parametrize(
    ("change", "panels"),
    [
        ({"device": "cuda"}, {"digits · mlp · cpu", "digits · mlp · cuda"}),
        ({"suite_version": 2}, {"digits · mlp · synthetic 1", "digits · mlp · synthetic 2"}),
        (
            {"recipe": Recipe(dense_steps=300, sparse_steps=900)},
            {"digits · mlp · sparse steps 300", "digits · mlp · sparse steps 900"},
        ),
        (
            {"data_sha256": "1" * 64},
            None,
        ),
    ],
)
def test_what_does_not_compare_is_in_two_panels(
    one: list[Record], change: dict[str, object], panels: set[str] | None
) -> None:
    board = leaderboard([*one, *(rebuilt(record, **change) for record in one)])
    assert len(board.panels) == 2
    assert panels is None or set(board.panels) == panels
    assert {row.accuracy.seeds for row in board.rows if row.accuracy} == {2}


def test_a_network_that_was_trained_again_replaces_the_old_one(one: list[Record]) -> None:
    # A new version of the dense start changes every id below it, and no label.
    parents = {record.id: f"new {record.id}" for record in one}
    again = []
    for record in one:
        cell = record.cell
        if cell.stage == "train" and cell.role == "result" and cell.method.name == "magnitude":
            new = rebuilt(record, started="2030", parent=parents[str(cell.parent)])
            metrics = (Metric.share("accuracy", 1, 2), Metric(name="level_achieved", value=0.9))
            again.append(new.model_copy(update={"metrics": metrics}))
    board = leaderboard([*one, *again])
    [row] = [row for row in board.rows if row.method == "magnitude"]
    assert row.accuracy is not None
    assert (row.accuracy.value, row.accuracy.seeds) == (0.5, 2)
    # The evaluations of the old networks went with them.
    assert row.median_l2 is None
    assert board.left_out == 2 * 4


def test_of_two_protocols_the_one_with_more_cells_counts(one: list[Record]) -> None:
    attacks = [record for record in one if record.cell.stage == "attack"]
    other = rebuilt(attacks[0], options={"suite": "l2-quick", "samples": 3})
    board = leaderboard([*one, other])
    assert board.left_out == 1
    assert all(row.median_l2 and row.median_l2.seeds == 2 for row in board.rows)

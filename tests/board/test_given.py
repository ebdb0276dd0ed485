"""A network that robench did not train, beside those that it did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.views.degradations import Degradations
from robench.spec import GIVEN, PluginRef, Record

Make = Callable[..., list[Record]]
STAGES = ("train", "degrade")


@pytest.fixture(scope="module")
def trained(make: Make) -> list[Record]:
    """Two methods and the dense control at two levels, with three seeds."""
    return make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        methods=(("dense", ()), ("magnitude", ()), ("ssl", ())),
        levels=(0.5, 0.9),
        distortions=(),
        stages=STAGES,
        mishaps=False,
    )


def given(records: list[Record], level: float = 0.3095) -> list[Record]:
    """The dense network of seed 0, as if it lay in a file."""
    method = PluginRef(name=GIVEN, version=1, params={"weights": "mine"}, changed=("weights",))
    own = []
    for stage in STAGES:
        (record,) = (
            record for record in records
            if (record.cell.stage, record.cell.seed, record.cell.role) == (stage, 0, "result")
            and record.cell.method.name == "dense"
        )  # fmt: skip
        parent = own[0].id if own else None
        change = {"method": method, "level": level, "parent": parent}
        cell = record.cell.model_copy(update=change)
        own.append(record.model_copy(update={"cell": cell, "id": cell.id}))
    return own


@pytest.fixture(scope="module")
def board(trained: list[Record]) -> Leaderboard:
    return leaderboard([*trained, *given(trained)])


def test_it_is_a_row_of_its_own_and_whole(board: Leaderboard) -> None:
    (row,) = (row for row in board.rows if row.method == "given[weights=mine]")
    assert (row.level, row.seeds) == (0.3095, 1)
    assert board.standing(row).state == "complete"


def test_it_is_no_level_that_others_lack(board: Leaderboard, trained: list[Record]) -> None:
    assert board.levels == (0.5, 0.9)
    assert board.coverage.missing_levels == ()
    assert board.coverage.share == 1
    assert board.coverage.expected == leaderboard(trained).coverage.expected + len(STAGES)


def test_others_stay_incomplete_for_themselves(trained: list[Record]) -> None:
    lost = next(
        record for record in trained
        if record.cell.method.name == "ssl" and record.cell.stage == "degrade"
    )  # fmt: skip
    records = [record for record in trained if record.id != lost.id]
    coverage = leaderboard([*records, *given(trained)]).coverage
    assert (coverage.expected - coverage.ok, coverage.missing_levels) == (1, ())


def test_one_without_an_evaluation_is_incomplete(trained: list[Record]) -> None:
    board = leaderboard([*trained, given(trained)[0]])
    (row,) = (row for row in board.rows if row.method == "given[weights=mine]")
    assert board.standing(row).state == "incomplete"
    assert board.standing(row).reasons == ("degrade, seed 0: missing",)


def test_alone_it_is_a_board_too(trained: list[Record]) -> None:
    board = leaderboard(given(trained))
    assert board.coverage.share == 1
    assert [board.standing(row).state for row in board.rows] == ["complete"]
    assert board.levels == ()


def test_it_stands_beside_every_level_in_the_views(board: Leaderboard) -> None:
    controls = Degradations().draw(board).controls
    (control,) = (c for c in controls if c.parameter == "chosen_level")
    assert [share for share, _ in control.options] == [0.5, 0.9]

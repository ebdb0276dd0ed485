from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.board.model.columns import ACCURACY, SPEEDUP
from robench.board.model.coverage import Standing
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.spec import PluginRef, Record

Make = Callable[..., list[Record]]
CONVNET = "digits · convnet"
MLP = "digits · mlp"


@pytest.fixture(scope="module")
def whole(make: Make) -> list[Record]:
    return make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        levels=(0.5, 0.9),
        distortions=(),
        mishaps=False,
    )


def standing(board: Leaderboard, panel: str, method: str, level: float) -> Standing:
    return board.standings[(panel, "none", method, level)]


def test_all_seeds_and_stages_make_a_row_complete(board: Leaderboard) -> None:
    assert standing(board, MLP, "halo", 0.9) == Standing("complete", (), 3)


def test_a_failed_network_is_named_once_and_not_for_each_stage(board: Leaderboard) -> None:
    found = standing(board, CONVNET, "halo", 0.99)
    assert found.state == "failed"
    assert found.reasons == ("train, seeds 0, 1, 2: failed: the loss became NaN at step 214",)


def test_a_missing_evaluation_makes_a_row_incomplete(board: Leaderboard) -> None:
    found = standing(board, MLP, "ssl", 0.9)
    assert found.state == "incomplete"
    assert found.reasons == ("speed, seed 1: over-budget: the cell took longer than 120 s",)


def test_a_record_that_is_not_there_is_missed(whole: list[Record]) -> None:
    def is_kept(record: Record) -> bool:
        cell = record.cell
        return (cell.stage, cell.method.name, cell.level, cell.seed) != ("attack", "halo", 0.9, 2)

    board = leaderboard(filter(is_kept, whole))
    assert standing(board, MLP, "halo", 0.9).reasons == ("attack, seed 2: missing",)
    assert standing(board, MLP, "halo", 0.5).state == "complete"
    assert board.coverage.expected - board.coverage.ok == 1


def test_what_does_not_apply_is_no_failure(whole: list[Record]) -> None:
    def changed(record: Record) -> Record:
        if record.cell.method.name != "ssl":
            return record
        change = {"status": "not-applicable", "reason": "no chain", "metrics": ()}
        return record.model_copy(update=change)

    board = leaderboard(map(changed, whole))
    assert standing(board, MLP, "ssl", 0.9).state == "not applicable"
    assert board.coverage.share == 1.0


def test_only_numbers_that_rest_on_every_seed_are_ranked(board: Leaderboard) -> None:
    [row] = [row for row in board.rows if row.key == (MLP, "none", "ssl", 0.9)]
    assert row.speedup is not None
    assert row.speedup.seeds == 2
    assert SPEEDUP.rank_by(row, board.standing(row)) is None
    assert SPEEDUP.value(row) != "–"
    assert row.accuracy is not None
    assert ACCURACY.rank_by(row, board.standing(row)) == row.accuracy.value


def test_coverage_counts_the_grid_that_the_records_span(whole: list[Record]) -> None:
    coverage = leaderboard(whole).coverage
    # Five graded methods at two levels and the dense control, three seeds, four stages.
    assert coverage.expected == (5 * 2 + 1) * 3 * 4
    assert (coverage.ok, coverage.share, coverage.missing_levels) == (coverage.expected, 1.0, ())


def test_a_curve_without_a_level_is_named(whole: list[Record]) -> None:
    def is_kept(record: Record) -> bool:
        return not (record.cell.method.name == "random" and record.cell.level == 0.5)

    coverage = leaderboard(filter(is_kept, whole)).coverage
    assert coverage.missing_levels == ("random on digits · mlp has no cells at 50%",)
    assert coverage.expected - coverage.ok == 3 * 4

"""What the reader may choose starts, and stays, where there is something to see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.board.charts.controls import LEVEL, PANEL, TRAINING, choices_of
from robench.board.charts.drawing import Drawing
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.views import views_of
from robench.spec import PluginRef, Record

Make = Callable[..., list[Record]]
GRID = {"methods": (("dense", ()), ("halo", ())), "seeds": 1, "mishaps": False}
MLP, CONVNET = PluginRef(name="mlp", version=1), PluginRef(name="convnet", version=1)


@pytest.fixture(scope="module")
def board(make: Make) -> Leaderboard:
    """Levels 0.5 to 0.9 of the one network, 0.95 to 0.99 of the other, and noise at 0.98 alone."""
    few = make(data=("digits",), models=(CONVNET,), levels=(0.95, 0.98, 0.99), **GRID,
               distortions=("low-pass",))  # fmt: skip
    many = make(data=("digits",), models=(MLP,), levels=(0.5, 0.8, 0.9), distortions=(), **GRID)
    noisy = [record for record in few if record.cell.recipe.distortion is not None]
    few = [
        record for record in few
        if record not in noisy or record.cell.level in (0.0, 0.99)
    ]  # fmt: skip
    return leaderboard([*few, *many])


def levels_of(board: Leaderboard, panel: str, training: str) -> set[float]:
    rows = (r for r in board.rows if (r.panel, r.training) == (panel, training))
    return {row.level for row in rows if row.kind.is_graded}


def test_each_combination_has_data(board: Leaderboard) -> None:
    found = choices_of(board, board.frame)
    assert found.parameters == (PANEL, LEVEL, TRAINING)
    assert len(found.combinations) == 7
    for panel, level, training in found.combinations:
        names = board.panels[int(panel)], board.trainings[int(training)]
        assert level in levels_of(board, *names)


def test_a_panel_starts_at_a_level_that_it_has(board: Leaderboard) -> None:
    found = choices_of(board, board.frame)
    convnet, mlp = map(board.panels.index, ("digits · convnet", "digits · mlp"))
    assert found.start(**{PANEL: mlp})[LEVEL] == 0.9
    assert found.start(**{PANEL: convnet}) == {PANEL: convnet, LEVEL: 0.98, TRAINING: 0}
    assert [(c.parameter, c.default) for c in found.controls] == [
        (PANEL, convnet), (LEVEL, 0.98), (TRAINING, 0),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def views(board: Leaderboard) -> tuple[Drawing, ...]:
    return tuple(view for view in views_of(board) if view.spec is not None)


def test_every_chart_and_plot_starts_where_there_is_data(views: tuple[Drawing, ...]) -> None:
    checked = 0
    for view in views:
        choices = (view.spec or {})["usermeta"].get("choices")
        if choices is None:
            continue
        combinations = {tuple(values) for values in choices["combinations"]}
        for spec in (view.spec, *(plot.spec for plot in view.plots)):
            first = {one["name"]: one["value"] for one in (spec or {})["params"]}
            assert tuple(first[name] for name in choices["parameters"]) in combinations
            checked += 1
    assert checked > 6


def test_the_selectors_show_what_the_chart_starts_with(views: tuple[Drawing, ...]) -> None:
    for view in views:
        first = {one["name"]: one["value"] for one in (view.spec or {})["params"]}
        for control in view.controls:
            assert control.default == first[control.parameter]
            assert control.default in dict(control.options)


def test_networks_of_no_level_are_seen_alone(make: Make) -> None:
    alone = make(data=("digits",), models=(MLP,), methods=(("dense", ()),), seeds=1,
                 distortions=())  # fmt: skip
    board = leaderboard(alone)
    assert choices_of(board, board.frame).combinations == ((0, 0.0, 0),)
    assert {view.key for view in views_of(board) if view.spec} >= {"accuracy", "degradations"}

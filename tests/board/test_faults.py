"""Boards that must not fail: intervals without an end, views and plots that break."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from robench.board import build_board
from robench.board.charts.drawing import Plot
from robench.board.charts.sparsity import cut_bounds
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.render.build import drawn
from robench.board.views import views_of
from robench.board.views.distance import Distance
from robench.spec import Metric, PluginRef, Record

Make = Callable[..., list[Record]]


@pytest.fixture(scope="module")
def small(make: Make) -> list[Record]:
    return make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        methods=(("dense", ()), ("halo", ())),
        levels=(0.5,),
        seeds=1,
        distortions=(),
    )


def test_an_interval_that_is_open_above_reaches_to_the_edge() -> None:
    points = [
        {"panel": "p", "value": 1.0, "low": 0.5, "high": None},
        {"panel": "p", "value": 2.0, "low": None, "high": 9.0},
        {"panel": "p", "value": 1.5, "low": None, "high": None},
        {"panel": "p", "value": 1.5, "low": 1.4, "high": 1.6},
    ]
    cut_bounds(points)
    assert [(point["low"], point["high"]) for point in points] == [
        (0.8, 2.2), (0.8, 2.2), (None, None), (1.4, 1.6),
    ]  # fmt: skip


@pytest.mark.parametrize("bounds", [(0.2, None), (None, 1.7), (None, None)])
def test_a_median_whose_interval_is_open_is_drawn(
    small: list[Record], bounds: tuple[float | None, float | None]
) -> None:
    """Of eight attacked images, the bootstrap's upper bound of the median need not exist."""

    def opened(record: Record) -> Record:
        low, high = bounds
        metrics = tuple(
            metric.model_copy(update={"low": low, "high": high}) if "l2" in metric.name else metric
            for metric in record.metrics
        )
        return record.model_copy(update={"metrics": metrics})

    records = [opened(record) for record in small]
    board = leaderboard(records)
    view = Distance().draw(board)
    assert view.spec is not None
    assert list(drawn(view.plots, board)) == ["median-l2.svg"]


def broken(_view: Distance, _board: Leaderboard) -> None:
    raise TypeError("no such <bound>")


def test_a_view_that_fails_says_so_in_its_place(
    small: list[Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Distance, "draw", broken)
    trained = [record for record in small if record.cell.stage == "train"]
    with caplog.at_level(logging.ERROR, "robench"):
        page = build_board(trained, tmp_path)
    keys = [view.key for view in views_of(leaderboard(trained))]
    assert keys[:2] == ["accuracy", "distance"]
    html = page.read_text(encoding="utf-8")
    assert "TypeError: no such &lt;bound&gt;" in html
    assert 'id="chart-accuracy"' in html
    assert r"TypeError: no such \<bound\>" in (tmp_path / "README.md").read_text()
    [told] = {record.getMessage() for record in caplog.records}
    assert told == "the view 'distance' cannot be drawn; the rest of the board can"
    assert all(record.exc_info for record in caplog.records)


def test_a_plot_that_fails_is_left_out(
    small: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    good = {"data": {"values": [{"a": 1}]}, "mark": "point", "encoding": {}}
    plots = [Plot("good", "", good), Plot("bad", "", {"mark": 7})]
    with caplog.at_level(logging.ERROR, "robench"):
        found = drawn(plots, leaderboard(small))
    assert list(found) == ["good.svg"]
    assert "the plot 'bad' cannot be drawn" in caplog.text


def test_nothing_but_failures_is_a_board(small: list[Record]) -> None:
    change = {"status": "failed", "reason": "no", "metrics": (), "details": {}}
    board = leaderboard(record.model_copy(update=change) for record in small)
    assert not [view for view in views_of(board) if view.spec or view.lead.startswith("This view")]


def test_a_value_without_a_number_is_a_board(small: list[Record]) -> None:
    def emptied(record: Record) -> Record:
        metrics = tuple(
            Metric(name=metric.name, value=None, condition=metric.condition)
            for metric in record.metrics
        )
        return record.model_copy(update={"metrics": metrics})

    found = views_of(leaderboard(map(emptied, small)))
    assert not [view for view in found if view.lead.startswith("This view cannot")]

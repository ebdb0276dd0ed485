"""Means over the seeds that survived are marked wherever they are shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import altair as alt
import pytest

from robench.board.charts.drawing import Drawing
from robench.board.model.leaderboard import leaderboard
from robench.board.views import views_of
from robench.spec import PluginRef, Record

Make = Callable[..., list[Record]]
GRID = {
    "data": ("friedman1",),
    "models": (PluginRef(name="mlp", version=1),),
    "methods": (("dense", ()), ("magnitude", ()), ("ssl", ())),
    "levels": (0.5, 0.9),
    "distortions": ("uniform-noise",),
    "stages": ("train", "speed", "attack", "degrade", "trees"),
    "mishaps": False,
}


@pytest.fixture(scope="module")
def views(make: Make, arrays: Callable[..., Any]) -> dict[str, Drawing]:
    """Of magnitude at 90% one of three seeds failed, in training and in all that follows."""

    def failed(record: Record) -> Record:
        cell = record.cell
        if (cell.method.name, cell.level, cell.seed) != ("magnitude", 0.9, 1):
            return record
        change = {"status": "failed", "reason": "diverged", "metrics": (), "details": {}}
        return record.model_copy(update=change)

    records = [failed(record) for record in make(**{**GRID, "levels": (0.5, 0.8, 0.9)})]
    return {view.key: view for view in views_of(leaderboard(records, arrays(records)))}


def rows_of(spec: dict[str, Any]) -> Iterator[dict[str, str]]:
    [data] = spec["datasets"].values() if "datasets" in spec else [spec["data"]["values"]]
    yield from csv.DictReader(io.StringIO(data))


@pytest.mark.parametrize(
    "key", ["accuracy", "distance", "curves", "parents", "degradations", "responses", "speed",
            "tabular", "features", "transfer", "sparse-transfer", "gap"],
)  # fmt: skip
def test_each_chart_counts_the_seeds_of_each_mean(views: dict[str, Drawing], key: str) -> None:
    view = views[key]
    assert view.spec is not None, view.missing
    counts = {(row["seeds"], row["of"]) for row in rows_of(view.spec) if row["seeds"]}
    assert counts == {("3", "3"), ("2", "3")}
    assert "†" in view.reading
    assert "†" in str(view.spec)


def test_each_chart_is_one_of_vega_lite(views: dict[str, Drawing]) -> None:
    """Charts are put together without Altair's checks, and these are all that there are."""
    specs = [view.spec for view in views.values() if view.spec is not None]
    assert len(specs) == 12
    for spec in specs:
        alt.TopLevelFacetSpec.validate(spec)


def test_the_table_of_ratios_has_daggers(views: dict[str, Drawing]) -> None:
    [table] = views["parents"].tables
    texts = [entry.text for row in table.rows for entry in row]
    assert [text for text in texts if text.endswith("†")]
    assert [text for text in texts if text[:1].isdigit() and not text.endswith("†")]


def test_whole_rows_have_no_dagger(make: Make) -> None:
    board = leaderboard(make(**{**GRID, "levels": (0.9,), "seeds": 2}))
    for view in views_of(board):
        if view.spec is not None:
            rows = [row for row in rows_of(view.spec) if row["seeds"]]
            assert rows
            assert all(row["seeds"] == row["of"] for row in rows)

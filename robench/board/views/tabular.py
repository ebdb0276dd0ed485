"""Networks on tables beside gradient-boosted trees, and the features that each relies on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import altair as alt

from robench.board.charts.base import (
    HAS_INTERVAL,
    INTERVALS,
    colour,
    filters,
    finished,
    inline,
    panel_plots,
    quality_names,
    shape,
    small_multiples,
    tooltip,
    without_hidden,
)
from robench.board.charts.controls import PANEL, Choices, choices_of
from robench.board.charts.drawing import Drawing
from robench.board.charts.incomplete import DAGGER, READING, SEEDS, basis, daggers
from robench.board.charts.sparsity import LEAST_REMAINING, cut_bounds, sparsity_axis
from robench.board.model.estimates import Estimate
from robench.board.model.format import interval, number
from robench.board.model.quality import R2
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard
    from robench.board.model.rows import Row

__all__ = ["Tabular", "tabular_panels"]

_WIDTH = 300
_HEIGHT = 200


@dataclass(frozen=True)
class _Quantity:
    """A small multiple: what it shows of a row, and of the trees of its panel."""

    title: str
    of: Callable[[Row], Estimate | None]
    of_trees: Callable[[Row], Estimate | None]
    scale: float = 1.0


def tabular_panels(board: Leaderboard) -> tuple[str, ...]:
    """The panels that stand beside trees or predict a number, as only tables do."""
    found = {row.panel for row in board.rows if row.measure is R2 or row.trees is not None}
    return tuple(panel for panel in board.panels if panel in found)


class Tabular(View):
    """Quality, dead inputs and spread of importance against sparsity, with trees as reference."""

    name = "tabular"
    title = "How do networks on tabular data compare with boosted trees?"
    lead = "TODO"
    place = 140

    def draw(self, board: Leaderboard) -> Drawing | None:
        """A small multiple for each quantity."""
        if not tabular_panels(board):
            return None
        names = quality_names(board)
        view = self.drawing(
            lead=f"{names[:1].upper()}{names[1:]} of each network alone and together with "
            "gradient-boosted trees, and how many of the features each relies on.",
            reading="The dashed line is the dense network, the dotted one the trees alone, fitted "
            "on the same training split. Together means a mean of both, weighted on the validation "
            "split. A dead input has no weight left; of the trees it is one that changes no "
            "answer. The importance of a feature is its total effect: how far the answers move "
            "when its values are exchanged between test rows. The entropy of the importances says "
            "over how many features they spread (3 bits: as if over 8 alike), the divergence from "
            "the trees whether the same features matter (0: the same, 1: none in common). Bars are "
            f"{INTERVALS}. {READING}",
        )
        panels = tabular_panels(board)
        points = [point for panel in panels for point in _points(board, panel)]
        if not points:
            return replace(view, missing="No network on a table has a number yet.")
        drawn = {board.panels[point["panel"]] for point in points}
        choices = choices_of(board, board.frame[board.frame["panel"].isin(drawn)], (PANEL,))
        spec = _chart(board, points, choices)
        return replace(
            view,
            spec=spec,
            controls=choices.controls,
            plots=panel_plots(board, choices, spec, "tabular", "Networks beside boosted trees"),
        )


def _quantities(measure: str) -> tuple[_Quantity, ...]:
    def other(metric: str) -> Callable[[Row], Estimate | None]:
        return lambda row: row.others.get(metric)

    return (
        _Quantity(f"{measure}, %", lambda row: row.quality, lambda row: row.trees, 100),
        _Quantity(
            f"{measure} together with trees, %",
            lambda row: row.ensemble,
            lambda row: row.trees,
            100,
        ),
        _Quantity("dead inputs, %", other("dead_inputs"), other("trees_unused_inputs"), 100),
        _Quantity(
            "entropy of importances, bits",
            other("importance_entropy"),
            other("trees_importance_entropy"),
        ),
        _Quantity(
            "divergence from the trees, bits", other("importance_divergence"), lambda _: None
        ),
    )


def _points(board: Leaderboard, panel: str) -> list[dict[str, Any]]:
    rows = [row for row in board.rows if row.panel == panel and row.training == "none"]
    points = [
        point
        for quantity in _quantities(rows[0].measure.name if rows else "")
        for point in _points_of(board, quantity, rows)
    ]
    for point in points:
        point["panel"] = board.panels.index(panel)
    cut_bounds(points, by="quantity")
    return points


def _points_of(
    board: Leaderboard, quantity: _Quantity, rows: list[Row]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        achieved = row.level_achieved.value if row.level_achieved else None
        of = board.standing(row).seeds
        if achieved is not None and (point := _point(quantity, quantity.of(row), of)):
            kind = "dense" if row.kind.is_dense else "sparse"
            yield {**point, "kind": kind, "method": row.method, "achieved": achieved}
    # They are the same for all networks of a seed: the row with most seeds tells of most trees.
    known = [found for row in rows if (found := quantity.of_trees(row)) is not None]
    most = max(known, key=lambda found: found.seeds, default=None)
    if point := _point(quantity, most, most.seeds if most else 0):
        yield {**point, "kind": "trees", "method": "trees", "achieved": 0.0}


def _point(quantity: _Quantity, estimate: Estimate | None, of: int) -> dict[str, Any] | None:
    if estimate is None or estimate.value is None:
        return None

    def written(value: float) -> str:
        return number(quantity.scale * value)

    def scaled(bound: float | None) -> float | None:
        return None if bound is None else quantity.scale * bound

    return {
        "quantity": quantity.title,
        "value": scaled(estimate.value),
        "low": scaled(estimate.low),
        "high": scaled(estimate.high),
        "text": f"{written(estimate.value)} {interval(estimate, written)}".strip(),
        "short": written(estimate.value) + (DAGGER if estimate.seeds < of else ""),
        "basis": basis(estimate, of),
        "seeds": estimate.seeds,
        "of": of,
    }


def _chart(board: Leaderboard, points: list[dict[str, Any]], choices: Choices) -> dict[str, Any]:
    for point in points:
        point["remaining"] = max(1 - point["achieved"], LEAST_REMAINING)
        point["label"] = f"{point['method']} {point['short']}"
    curves = [point["remaining"] for point in points if point["kind"] == "sparse"] or [1.0]
    numbers = ("panel", "value", "low", "high", "achieved", "remaining", *SEEDS)
    data = inline([list(point.values()) for point in points], list(points[0]), numbers)
    titles = list(dict.fromkeys(point["quantity"] for point in points))
    x = sparsity_axis(min(curves), max(curves))
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(title=None))
    layers = [
        *_curves(board, x, y),
        *_reference("dense", y, at="right"),
        *_reference("trees", y, at="left"),
    ]
    chart = small_multiples(
        layers,
        data,
        by=alt.Facet("quantity:N", sort=titles, header=alt.Header(title=None, labelLimit=_WIDTH)),
        columns=3,
        size=(_WIDTH, _HEIGHT),
        transform=filters("datum.panel === chosen_panel", without_hidden()),
        independent={"scale": "y", "axis": "x"},
    )
    shown = len({(point["panel"], point["quantity"]) for point in points})
    panels = len({point["panel"] for point in points})
    return finished(
        chart, panel_width=_WIDTH, panels=-(-shown // panels), choices=choices, beside=66
    )


def _curves(board: Leaderboard, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    curve = alt.Chart().transform_filter("datum.kind === 'sparse'")
    hints = tooltip(
        method="method:N",
        sparsity_achieved="achieved:Q|.2~%",
        shows="quantity:N",
        value="text:N",
        rests_on="basis:N",
    )
    return [
        curve.transform_filter(HAS_INTERVAL)
        .mark_rule(opacity=0.4, strokeWidth=1)
        .encode(x=x, y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board)),
        curve.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour(board)),
        curve.mark_point(filled=True, size=50, opacity=1).encode(
            x=x, y=y, color=colour(board), shape=shape(board), tooltip=hints
        ),
        daggers(curve, x=x, y=y),
    ]


def _reference(kind: str, y: alt.Y, *, at: Literal["left", "right"]) -> list[alt.Chart]:
    """A line across the panel with its name: the dense network's at the right, the trees' left."""
    line = alt.Chart().transform_filter(f"datum.kind === '{kind}'")
    is_right = at == "right"
    label = line.mark_text(
        align="right" if is_right else "left", baseline="bottom", dx=-2, dy=-4, fontSize=11
    )
    dash = [5, 4] if is_right else [1, 3]
    return [
        line.mark_rule(strokeDash=dash, strokeWidth=1.3).encode(y=y),
        label.encode(x=alt.value("width" if is_right else 4), y=y, text="label:N"),
    ]

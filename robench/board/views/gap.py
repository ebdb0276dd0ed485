"""Own noise against other noise, as weights are removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from robench.analysis.seeds import over_seeds
from robench.analysis.transfer import generalisation_gap, side_of_gap
from robench.board.charts.base import (
    HAS_INTERVAL,
    calculated,
    colour,
    filters,
    finished,
    inline,
    method_name,
    panel_plots,
    shape,
    small_multiples,
    tooltip,
    value_and_bounds,
    without_hidden,
)
from robench.board.charts.controls import PANEL, Choices, choices_of
from robench.board.charts.drawing import Drawing
from robench.board.charts.heat_map import (
    NETWORK,
    in_training_order,
    sparse_matrix,
)
from robench.board.charts.incomplete import READING, SEEDS, counted, daggers, seeds_of
from robench.board.model.comparable import ROW
from robench.board.model.format import level
from robench.board.model.measured import FRACTION
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Gap"]

_WIDTH, _HEIGHT = 300, 190


class Gap(View):
    """Accuracy on a network's own noise and on other noise, against sparsity."""

    name = "gap"
    title = "Generalisation gap between noise types, against sparsity"
    lead = (
        "Mean accuracy on the kinds that a network was trained on, and on all other kinds, "
        "against the requested sparsity, for each training."
    )
    place = 120

    def draw(self, board: Leaderboard) -> Drawing | None:
        """Two lines a method, a small multiple a training."""
        matrix = sparse_matrix(board)
        if matrix.empty:
            return None
        gaps = generalisation_gap(matrix, board.distortions, network=NETWORK)
        gaps = gaps.dropna(subset=["gap"])
        if gaps.empty:
            return None
        choices = choices_of(board, gaps, (PANEL,))
        spec = _gap_chart(board, gaps, choices)
        return self.drawing(
            reading="Solid lines with filled marks are a network's own noise, dashed ones with "
            "open marks the others'; what lies between is the generalisation gap. Each line begins "
            "at the dense control. Clean and grey images count on neither side. Bars are 95% "
            "intervals over seeds. " + READING,
            spec=spec,
            controls=choices.controls,
            plots=panel_plots(board, choices, spec, "gap", "Own noise against other noise"),
        )


def _gap_rows(board: Leaderboard, gaps: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Own and other noise of each method by level; its line begins at the dense network."""
    methods = [method for method in board.methods if method in set(gaps["method"])]
    graded = [method for method in methods if board.kinds[method].is_graded]
    for side in ("own", "others"):
        means = over_seeds(side_of_gap(gaps, side), ROW, bounds=FRACTION)
        for row in means.to_dict("records"):
            is_reference = not board.kinds[row["method"]].is_graded
            for method in graded if is_reference else [row["method"]]:
                yield (
                    board.panels.index(row["panel"]),
                    board.methods.index(method),
                    f"{0 if is_reference else row['level']:.6f}|"
                    f"{'dense' if is_reference else level(row['level']) + '%'}",
                    row["training"],
                    side,
                    *value_and_bounds(row),
                    *seeds_of(board, row),
                )


def _gap_chart(board: Leaderboard, gaps: pd.DataFrame, choices: Choices) -> dict[str, Any]:
    shown = set(gaps["training"])
    trainings = in_training_order({name: board.distortions[name] for name in shown})
    columns = ["panel", "m", "step", "training", "side", "value", "low", "high", *SEEDS]
    words = ("step", "training", "side")
    data = inline(_gap_rows(board, gaps), columns, [name for name in columns if name not in words])
    x = alt.X(
        "step:O",
        axis=alt.Axis(title=None, labelExpr="split(datum.label, '|')[1]", labelAngle=0),
        scale=alt.Scale(type="point", padding=0.3),
    )
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", title=None))
    base = alt.Chart().transform_filter("isValid(datum.value)")
    whole = {"test": "datum.side === 'own'", "value": [1, 0]}
    dash = alt.StrokeDashValue([5, 4], condition=whole)
    hints = tooltip(
        method="method:N",
        trained_on="training:N",
        tested_on="side:N",
        sparsity="sparsity:N",
        accuracy="value:Q|.1%",
        low="low:Q|.1%",
        high="high:Q|.1%",
        seeds="counted:N",
    )
    layers = [
        base.transform_filter(HAS_INTERVAL)
        .mark_rule(opacity=0.3)
        .encode(x=x, y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board)),
        base.mark_line(strokeWidth=1.8).encode(
            x=x, y=y, color=colour(board), detail="side:N", strokeDash=dash
        ),
        base.transform_filter("datum.side === 'own'")
        .mark_point(filled=True, size=42, opacity=1)
        .encode(x=x, y=y, color=colour(board), shape=shape(board), tooltip=hints),
        base.transform_filter("datum.side === 'others'")
        .mark_point(filled=False, size=42, strokeWidth=1.6)
        .encode(x=x, y=y, color=colour(board), shape=shape(board), tooltip=hints),
        daggers(base, x=x, y=y),
    ]
    header = alt.Header(title=None, labelLimit=_WIDTH)
    chart = small_multiples(
        layers,
        data,
        by=alt.Facet("training:N", sort=trainings, header=header),
        columns=3,
        size=(_WIDTH, _HEIGHT),
        transform=[
            *filters("datum.panel === chosen_panel"),
            *calculated(
                method=method_name(board, "m"),
                sparsity="split(datum.step, '|')[1]",
                counted=counted(),
            ),
            *filters(without_hidden()),
        ],
        independent={"axis": "xy"},
    )
    return finished(chart, panel_width=_WIDTH, panels=len(trainings), choices=choices, beside=66)

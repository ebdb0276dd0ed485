"""What sparsity does to what carries over: differences from the dense control, and the gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from robench.analysis.seeds import over_seeds
from robench.analysis.transfer import generalisation_gap, side_of_gap, sparse_against_dense
from robench.board.model.comparable import ROW
from robench.board.model.format import level
from robench.board.model.measured import FRACTION
from robench.board.views.base import (
    HAS_INTERVAL,
    View,
    calculated,
    colour,
    filters,
    finished,
    ink,
    inline,
    method_name,
    panel_plots,
    shape,
    small_multiples,
    tooltip,
    value_and_bounds,
    without_hidden,
)
from robench.board.views.controls import LEVEL, PANEL, Choices, choices_of, training_name
from robench.board.views.heat_map import (
    AT,
    CELL,
    NETWORK,
    axes,
    board_matrix,
    by_method,
    cells,
    graded_rows,
    in_test_order,
    in_training_order,
    label_width,
)
from robench.board.views.incomplete import READING, SEEDS, counted, daggers, seeds_of

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["sparse_transfer_views"]

_WIDTH, _HEIGHT = 300, 190


def sparse_transfer_views(board: Leaderboard) -> tuple[View, ...]:
    """The matrix of sparse networks less that of dense ones, and own noise against other noise.

    Only where networks were trained on noise, and made sparse.
    """
    matrix = board_matrix(board, AT[0][1])
    graded = graded_rows(board, matrix)
    graded = graded[graded["training"] != "none"]
    if graded.empty:
        return ()
    matrix = matrix[matrix["panel"].isin(graded["panel"])]
    found = (_difference_view(board, matrix), _gap_view(board, matrix))
    return tuple(view for view in found if view is not None)


# -- sparse less dense ------------------------------------------------------------------------


def _difference_view(board: Leaderboard, matrix: pd.DataFrame) -> View | None:
    found = sparse_against_dense(matrix, network=NETWORK)
    if found.empty:
        return None
    choices = choices_of(board, found, (PANEL, LEVEL))
    spec = _difference_chart(board, found, choices)
    return View(
        key="sparse-transfer",
        title="Does a sparse network carry over less than its dense control?",
        lead="Accuracy of a sparse network less that of the dense one of the same training and "
        "seed, in percentage points, the mean over all levels of each kind.",
        reading="Blue is better than dense, red is worse; a frame marks differences whose 95% "
        "interval over seeds leaves out zero. All networks trained for as many steps, on the same "
        "batches with the same noise. " + READING,
        spec=spec,
        controls=choices.controls,
        plots=panel_plots(board, choices, spec, "sparse-transfer", "Sparse less dense, in points"),
    )


def _difference_chart(board: Leaderboard, found: pd.DataFrame, choices: Choices) -> dict[str, Any]:
    trainings = in_training_order(
        {name: board.distortions[name] for name in set(found["training"])}
    )
    tests = in_test_order(found["test"])
    place = axes(tests, trainings)
    rows = [
        (
            board.panels.index(row["panel"]),
            board.methods.index(row["method"]),
            row["level"],
            training_name(row["training"]),
            row["test"],
            *value_and_bounds(row),
            *seeds_of(board, row),
        )
        for row in found.to_dict("records")
    ]
    columns = ["panel", "m", "level", "training", "test", "value", "low", "high", *SEEDS]
    data = inline(rows, columns, [name for name in columns if name not in ("training", "test")])
    shade = alt.Color(
        "value:Q",
        scale=alt.Scale(scheme="redblue", domain=[-0.3, 0.3], domainMid=0, clamp=True),
        legend=alt.Legend(
            labelExpr="format(100 * datum.value, '+.0f')", title="sparse − dense, points"
        ),
    )
    layers = cells(
        place,
        shade,
        # A difference that rounds to nothing is not minus nothing.
        number="format(round(100 * datum.value) + 0, '+.0f')",
        ink=ink("abs(datum.value) > 0.18", "#ffffff", "#10151c"),
        outlined="isValid(datum.low) && (datum.low > 0 || datum.high < 0)",
        outline="#10151c",
        values={"points": "points:Q|+.1f", "low": "low:Q|+.1%", "high": "high:Q|+.1%"},
    )
    asked = [
        *filters("datum.level === chosen_level"),
        *calculated(points="100 * datum.value"),
    ]
    chart = by_method(board, layers, data, tests, asked)
    return finished(
        chart,
        panel_width=CELL * len(tests) + label_width(trainings),
        panels=found["method"].nunique(),
        choices=choices,
    )


# -- own noise against other noise ------------------------------------------------------------


def _gap_view(board: Leaderboard, matrix: pd.DataFrame) -> View | None:
    gaps = generalisation_gap(matrix, board.distortions, network=NETWORK)
    gaps = gaps.dropna(subset=["gap"])
    if gaps.empty:
        return None
    choices = choices_of(board, gaps, (PANEL,))
    spec = _gap_chart(board, gaps, choices)
    return View(
        key="gap",
        title="Own noise against other noise, as weights are removed",
        lead="Mean accuracy on the kinds that a network was trained on, and on all other kinds, "
        "against the requested sparsity, for each training.",
        reading="Solid lines with filled marks are a network's own noise, dashed ones with open "
        "marks the others'; what lies between is the generalisation gap. Each line begins at the "
        "dense control. Clean and grey images count on neither side. Bars are 95% intervals over "
        "seeds. " + READING,
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

"""What sparsity does to what carries over: differences from the dense control, and the gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from robench.board.comparable import ROW
from robench.board.coverage import is_graded
from robench.board.format import level
from robench.board.measured import FRACTION
from robench.board.views.base import (
    Control,
    View,
    colour,
    finished,
    inline,
    level_control,
    method_name,
    panel_control,
    panel_plots,
    shape,
    tooltip,
    value_and_bounds,
    without_hidden,
)
from robench.board.views.heat_map import (
    AT,
    CELL,
    NETWORK,
    axes,
    board_matrix,
    by_method,
    cells,
    in_test_order,
    in_training_order,
    label_width,
    training_name,
)
from robench.stats.seeds import over_seeds
from robench.stats.transfer import (
    distortions_of,
    generalisation_gap,
    side_of_gap,
    sparse_against_dense,
)

if TYPE_CHECKING:
    from robench.board.leaderboard import Leaderboard

__all__ = ["sparse_transfer_views"]

_WIDTH, _HEIGHT = 300, 190


def sparse_transfer_views(board: Leaderboard) -> tuple[View, ...]:
    """The matrix of sparse networks less that of dense ones, and own noise against other noise.

    Only where networks were trained on noise, and made sparse.
    """
    matrix = board_matrix(board, AT[0][1])
    graded = matrix[matrix["method"].map(is_graded).astype(bool)]
    graded = graded[graded["training"] != "none"]
    if graded.empty:
        return ()
    matrix = matrix[matrix["panel"].isin(graded["panel"])]
    levels = sorted(float(asked) for asked in graded["level"].unique())
    found = (_difference_view(board, matrix, levels), _gap_view(board, matrix))
    return tuple(view for view in found if view is not None)


# -- sparse less dense ------------------------------------------------------------------------


def _difference_view(board: Leaderboard, matrix: pd.DataFrame, levels: list[float]) -> View | None:
    found = sparse_against_dense(matrix, network=NETWORK)
    if found.empty:
        return None
    panels = [panel for panel in board.panels if panel in set(found["panel"])]
    controls = (panel_control(board, panels), level_control(levels))
    spec = _difference_chart(board, found, controls)
    return View(
        key="sparse-transfer",
        title="Does a sparse network carry over less than its dense control?",
        lead="Accuracy of a sparse network less that of the dense one of the same training and "
        "seed, in percentage points, the mean over all levels of each kind.",
        reading="Blue is better than dense, red is worse; a frame marks differences whose 95% "
        "interval over seeds leaves out zero. All networks trained for as many steps, on the same "
        "batches with the same noise.",
        spec=spec,
        controls=controls,
        plots=panel_plots(
            board,
            panels,
            spec,
            "sparse-transfer",
            "Sparse less dense, in points",
            asked=controls[1].default,
        ),
    )


def _difference_chart(
    board: Leaderboard, found: pd.DataFrame, controls: tuple[Control, ...]
) -> dict[str, Any]:
    distortions = distortions_of(board.records)
    trainings = in_training_order({name: distortions[name] for name in set(found["training"])})
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
            row["seeds"],
        )
        for row in found.to_dict("records")
    ]
    columns = ["panel", "m", "level", "training", "test", "value", "low", "high", "seeds"]
    data = inline(rows, columns, [name for name in columns if name not in ("training", "test")])
    ink = alt.condition("abs(datum.value) > 0.18", alt.value("#ffffff"), alt.value("#10151c"))
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
        number=alt.Text("whole:Q", format="+.0f"),
        ink=ink,
        outlined="isValid(datum.low) && (datum.low > 0 || datum.high < 0)",
        outline="#10151c",
        values={"points": "points:Q|+.1f", "low": "low:Q|+.1%", "high": "high:Q|+.1%"},
    )
    chart = (
        by_method(board, alt.layer(*layers, data=data), tests)
        .transform_filter("datum.level === chosen_level")
        .transform_calculate(
            points="100 * datum.value",
            # A difference that rounds to nothing is not minus nothing.
            whole="round(100 * datum.value) + 0",
        )
    )
    return finished(
        chart,
        panel_width=CELL * len(tests) + label_width(trainings),
        panels=found["method"].nunique(),
        controls=controls,
    )


# -- own noise against other noise ------------------------------------------------------------


def _gap_view(board: Leaderboard, matrix: pd.DataFrame) -> View | None:
    gaps = generalisation_gap(matrix, distortions_of(board.records), network=NETWORK)
    gaps = gaps.dropna(subset=["gap"])
    if gaps.empty:
        return None
    panels = [panel for panel in board.panels if panel in set(gaps["panel"])]
    controls = (panel_control(board, panels),)
    spec = _gap_chart(board, gaps, controls)
    return View(
        key="gap",
        title="Own noise against other noise, as weights are removed",
        lead="Mean accuracy on the kinds that a network was trained on, and on all other kinds, "
        "against the requested sparsity, for each training.",
        reading="Solid lines with filled marks are a network's own noise, dashed ones with open "
        "marks the others'; what lies between is the generalisation gap. Each line begins at the "
        "dense control. Clean and grey images count on neither side. Bars are 95% intervals over "
        "seeds.",
        spec=spec,
        controls=controls,
        plots=panel_plots(board, panels, spec, "gap", "Own noise against other noise"),
    )


def _gap_rows(board: Leaderboard, gaps: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Own and other noise of each method by level; its line begins at the dense network."""
    methods = [method for method in board.methods if method in set(gaps["method"])]
    graded = [method for method in methods if is_graded(method)]
    for side in ("own", "others"):
        means = over_seeds(side_of_gap(gaps, side), ROW, bounds=FRACTION)
        for row in means.to_dict("records"):
            is_reference = not is_graded(row["method"])
            for method in graded if is_reference else [row["method"]]:
                yield (
                    board.panels.index(row["panel"]),
                    board.methods.index(method),
                    f"{0 if is_reference else row['level']:.6f}|"
                    f"{'dense' if is_reference else level(row['level']) + '%'}",
                    row["training"],
                    side,
                    *value_and_bounds(row),
                    row["seeds"],
                )


def _gap_chart(
    board: Leaderboard, gaps: pd.DataFrame, controls: tuple[Control, ...]
) -> dict[str, Any]:
    distortions = distortions_of(board.records)
    trainings = in_training_order({name: distortions[name] for name in set(gaps["training"])})
    columns = ["panel", "m", "step", "training", "side", "value", "low", "high", "seeds"]
    words = ("step", "training", "side")
    data = inline(_gap_rows(board, gaps), columns, [name for name in columns if name not in words])
    x = alt.X(
        "step:O",
        axis=alt.Axis(title=None, labelExpr="split(datum.label, '|')[1]", labelAngle=0),
        scale=alt.Scale(type="point", padding=0.3),
    )
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", title=None))
    base = alt.Chart().transform_filter("isValid(datum.value)")
    dash = alt.condition("datum.side === 'own'", alt.value([1, 0]), alt.value([5, 4]))
    hints = tooltip(
        method="method:N",
        trained_on="training:N",
        tested_on="side:N",
        sparsity="sparsity:N",
        accuracy="value:Q|.1%",
        low="low:Q|.1%",
        high="high:Q|.1%",
        seeds="seeds:Q",
    )
    layers = [
        base.transform_filter("isValid(datum.low)")
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
    ]
    chart = (
        alt.layer(*layers, data=data)
        .properties(width=_WIDTH, height=_HEIGHT)
        .facet(
            facet=alt.Facet(
                "training:N", sort=trainings, header=alt.Header(title=None, labelLimit=_WIDTH)
            ),
            columns=3,
        )
        .transform_filter("datum.panel === chosen_panel")
        .transform_calculate(method=method_name(board, "m"), sparsity="split(datum.step, '|')[1]")
        .transform_filter(without_hidden())
        .resolve_axis(x="independent", y="independent")
    )
    return finished(chart, panel_width=_WIDTH, panels=len(trainings), controls=controls, beside=66)

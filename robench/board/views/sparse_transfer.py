"""What sparsity does to what carries over: differences from the dense control, and the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from robench.analysis.transfer import sparse_against_dense
from robench.board.charts.base import (
    calculated,
    filters,
    finished,
    ink,
    inline,
    panel_plots,
    value_and_bounds,
)
from robench.board.charts.controls import LEVEL, PANEL, Choices, choices_of, training_name
from robench.board.charts.drawing import Drawing
from robench.board.charts.heat_map import (
    CELL,
    NETWORK,
    axes,
    by_method,
    cells,
    in_test_order,
    in_training_order,
    label_width,
    sparse_matrix,
)
from robench.board.charts.incomplete import READING, SEEDS, seeds_of
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["SparseTransfer"]

_WIDTH, _HEIGHT = 300, 190


class SparseTransfer(View):
    """The transfer matrix of sparse networks minus that of their dense controls."""

    name = "sparse-transfer"
    title = "Does sparsity reduce transfer between noise types?"
    lead = (
        "Accuracy of a sparse network less that of the dense one of the same training and "
        "seed, in percentage points, the mean over all levels of each kind."
    )
    place = 110

    def draw(self, board: Leaderboard) -> Drawing | None:
        """A heat map of differences for each method."""
        matrix = sparse_matrix(board)
        if matrix.empty:
            return None
        found = sparse_against_dense(matrix, network=NETWORK)
        if found.empty:
            return None
        choices = choices_of(board, found, (PANEL, LEVEL))
        spec = _difference_chart(board, found, choices)
        return self.drawing(
            reading="Blue is better than dense, red is worse; a frame marks differences whose 95% "
            "interval over seeds leaves out zero. All networks trained for as many steps, on the "
            "same batches with the same noise. " + READING,
            spec=spec,
            controls=choices.controls,
            plots=panel_plots(
                board, choices, spec, "sparse-transfer", "Sparse less dense, in points"
            ),
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

"""Trained on one noise, tested on the others: a heat map, and the published one below it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from robench.analysis.frame import CLEAN_TRAINING
from robench.analysis.seeds import over_seeds
from robench.analysis.transfer import trained_kinds
from robench.board.charts.base import filters, finished, ink, inline, panel_plots, value_and_bounds
from robench.board.charts.controls import (
    LEVEL,
    PANEL,
    Choices,
    Control,
    choices_of,
    training_name,
)
from robench.board.charts.drawing import Drawing
from robench.board.charts.heat_map import (
    AT,
    CELL,
    axes,
    board_matrix,
    by_method,
    cells,
    in_test_order,
    in_training_order,
    label_width,
)
from robench.board.charts.incomplete import READING, SEEDS, seeds_of
from robench.board.charts.transfer_scores import ABOUT_SCORES, score_tables
from robench.board.model.comparable import ROW
from robench.board.model.measured import FRACTION
from robench.board.pictures.published_matrix import PICTURE_TITLE, published_picture
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Transfer"]


class Transfer(View):
    """Accuracy by training distortion and test degradation."""

    name = "transfer"
    title = "Does robustness to one noise type transfer to others?"
    lead = (
        "Accuracy in percent of networks trained on one kind of image (rows) and tested on "
        "each kind (columns)."
    )
    place = 100

    def draw(self, board: Leaderboard) -> Drawing:
        """Heat maps, the published one below them, and tables of the share of the gain."""
        view = self.drawing(
            reading="Outlined cells are tested on what they were trained on; where a network was "
            "trained on several kinds, on any of them. A bright outlined cell in a dark row means "
            "that the network learnt its own noise and nothing else. The first column is clean "
            "images. The mean over levels includes mild ones, but for pictures that are not "
            "degraded or that other kinds show as well; the published matrix has one level of each "
            "kind. " + READING,
        )
        matrices = [board_matrix(board, at) for _, at in AT]
        if matrices[0].empty:
            missing = (
                "No data set and model in these results has networks that were trained on a noise "
                "and shown degraded images; add `distortions` and `degrade` to the suite."
            )
            return replace(view, missing=missing)
        choices = choices_of(board, _noisy(matrices[0]), (PANEL, LEVEL))
        at = Control(
            "chosen_at", "Tested at", tuple((n, text) for n, (text, _) in enumerate(AT)), 0
        )
        spec = _chart(board, matrices, choices, at)
        tables = score_tables(board, matrices[0])
        return replace(
            view,
            reading=f"{view.reading} {ABOUT_SCORES}" if tables else view.reading,
            tables=tables,
            spec=spec,
            controls=(*choices.controls, at),
            plots=panel_plots(
                board, choices, spec, "transfer", "Accuracy in percent by training and test images"
            ),
            picture=published_picture(),
            picture_title=PICTURE_TITLE,
            picture_open=True,
        )


def _noisy(matrix: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks that were trained on noise: only their levels can be compared."""
    return matrix[matrix["training"] != CLEAN_TRAINING]


def _data(board: Leaderboard, matrices: list[pd.DataFrame]) -> alt.InlineData:
    found = pd.concat(
        [
            over_seeds(matrix, [*ROW, "test"], bounds=FRACTION).assign(at=number)
            for number, matrix in enumerate(matrices)
            if len(matrix)
        ]
    )
    rows = [
        (
            board.panels.index(row["panel"]),
            board.methods.index(row["method"]),
            row["level"] if board.kinds[row["method"]].is_graded else -1,
            row["at"],
            training_name(row["training"]),
            row["test"],
            *value_and_bounds(row),
            *seeds_of(board, row),
            int(row["test"] in trained_kinds(board.distortions[row["training"]])),
        )
        for row in found.to_dict("records")
    ]
    columns = ["panel", "m", "level", "at", "training", "test", "value", "low", "high"]
    columns += [*SEEDS, "own"]
    return inline(rows, columns, [name for name in columns if name not in ("training", "test")])


def _chart(
    board: Leaderboard, matrices: list[pd.DataFrame], choices: Choices, at: Control
) -> dict[str, Any]:
    matrix = matrices[0]
    shown = set(matrix["training"])
    trainings = in_training_order({name: board.distortions[name] for name in shown})
    tests = in_test_order(matrix["test"])
    place = axes(tests, trainings)
    shade = alt.Color(
        "value:Q",
        scale=alt.Scale(scheme="viridis", domain=[0, 1]),
        legend=alt.Legend(format="%", title="accuracy"),
    )
    layers = cells(
        place,
        shade,
        number="format(100 * datum.value, '.0f')",
        # Viridis is dark below and bright above: ink that can be read on either half.
        ink=ink("datum.value > 0.62", "#10151c", "#ffffff"),
        outlined="datum.own",
        outline="#ff5d5d",
        values={"accuracy": "value:Q|.1%", "low": "low:Q|.1%", "high": "high:Q|.1%"},
    )
    asked = filters("datum.level === chosen_level || datum.level < 0", "datum.at === chosen_at")
    chart = by_method(board, layers, _data(board, matrices), tests, asked)
    return finished(
        chart,
        panel_width=CELL * len(tests) + label_width(trainings),
        panels=matrix["method"].nunique(),
        controls=(at,),
        choices=choices,
    )

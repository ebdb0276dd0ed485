"""Accuracy, or R² of a regression, against achieved sparsity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.board.charts.base import quality_names
from robench.board.charts.drawing import Drawing, Plot
from robench.board.charts.sparsity import SPARSITY_READING, sparsity_chart
from robench.board.model.format import percent
from robench.board.model.quality import R2
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Accuracy"]

_REGRESSIONS = (
    " Networks that predict a number are measured by R², the share of the target's variance that "
    "they explain; below zero the mean would be a better prediction."
)


class Accuracy(View):
    """Accuracy, or R² of a regression, on clean test inputs against achieved sparsity."""

    name = "accuracy"
    title = "How accurate are the sparse networks?"
    lead = "Accuracy or R² on clean test inputs as weights are removed."
    place = 10

    def draw(self, board: Leaderboard) -> Drawing:
        """Curves with bands, a small multiple a panel."""
        names = quality_names(board)
        chart = sparsity_chart(
            board, lambda row: row.quality, f"{names} on test inputs", percent, "%"
        )
        return self.drawing(
            lead=f"{names[:1].upper()}{names[1:]} on clean test inputs as weights are removed, for "
            "each data set and model.",
            reading=SPARSITY_READING
            + "The dashed line is the dense control, which has the same training budget."
            + (_REGRESSIONS if R2.name in names else ""),
            spec=chart,
            missing=None
            if chart
            else "No trained network has both an accuracy and a sparsity yet.",
            plots=(
                Plot(self.name, f"{names[:1].upper()}{names[1:]} against achieved sparsity", chart),
            )
            if chart
            else (),
        )

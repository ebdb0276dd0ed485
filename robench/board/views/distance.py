"""Distance to the nearest adversarial against achieved sparsity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.board.charts.drawing import Drawing, Plot
from robench.board.charts.sparsity import SPARSITY_READING, sparsity_chart
from robench.board.model.format import distance
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Distance"]


class Distance(View):
    """The median minimal l2 perturbation against achieved sparsity."""

    name = "distance"
    title = "How robust are they to minimal l2 attacks?"
    lead = (
        "The smallest change, in l2 norm over inputs in [0, 1], that makes the network err: "
        "the median over the test inputs that it classifies correctly."
    )
    place = 20

    def draw(self, board: Leaderboard) -> Drawing:
        """Curves with bands, a small multiple a panel."""
        chart = sparsity_chart(board, lambda row: row.median_l2, "median l2 distance", distance, "")
        return self.drawing(
            reading=SPARSITY_READING
            + "Higher is more robust. A network that is wrong more often is asked "
            "about easier inputs only, so read this beside the accuracy. A ring marks points whose "
            "attack raised a flag, and networks whose accuracy is far below that of the dense one: "
            "there the distance flatters the network.",
            spec=chart,
            missing=None
            if chart
            else "No network was attacked in these results "
            "(stage attack); add `attack` to the suite's `evaluate`.",
            plots=(Plot("median-l2", "Median l2 distance against achieved sparsity", chart),)
            if chart
            else (),
        )

"""Common corruptions: accuracy against their severity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.board.charts.base import INTERVALS
from robench.board.charts.level_curves import (
    ACCURACY,
    with_level_curves,
)
from robench.board.model.measured import measured
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.charts.drawing import Drawing
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Corruptions"]


class Corruptions(View):
    """Accuracy against the severity of common corruptions, where networks were shown any."""

    name = "corruptions"
    title = "How robust are they to common corruptions?"
    lead = "Accuracy at each severity of the corruptions of Hendrycks and Dietterich 2019."
    place = 80

    def draw(self, board: Leaderboard) -> Drawing | None:
        """Curves against severity, a small multiple a corruption."""
        each = measured(board.frame, "corrupt", "accuracy")
        if each.empty:
            return None
        origins = "; ".join(
            f"{panel}: {', '.join(sorted(of.unique()))}"
            for panel, of in each.groupby("panel")["images"]
        )
        view = self.drawing(
            reading="Severity grows from left to right. Images that were corrupted here are not "
            "those of ImageNet-C or CIFAR-10-C, and their errors do not compare with published "
            f"ones; where the images come from: {origins}. All networks of one data set see the "
            f"same images. Bars are {INTERVALS}.",
        )
        by_severity = each.rename(columns={"severity": "step_level"})
        return with_level_curves(view, board, ACCURACY, by_severity, "Accuracy under corruptions")

"""Entropy of the answers to degraded images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.board.charts.base import INTERVALS
from robench.board.charts.level_curves import (
    RESPONSE_ENTROPY,
    comparable_panels,
    with_level_curves,
)
from robench.board.model.measured import measured
from robench.board.views.base import View
from robench.reference.humans import ATTRIBUTION

if TYPE_CHECKING:
    from robench.board.charts.drawing import Drawing
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Responses"]


class Responses(View):
    """How evenly networks answer as images are degraded, where that was measured."""

    name = "responses"
    title = "Do degraded images collapse the answers to a few classes?"
    lead = (
        "Entropy of the answers to degraded images, in bits: it falls where a network answers "
        "few classes, whatever it is shown."
    )
    place = 70

    def draw(self, board: Leaderboard) -> Drawing | None:
        """Curves against the level, a small multiple a kind."""
        each = measured(board.frame, "degrade", RESPONSE_ENTROPY.metric)
        if each.empty:
            return None
        humans = comparable_panels(each)
        view = self.drawing(
            reading="Even answers to ten classes have 3.32 bits, to sixteen 4; one answer to all "
            "that is shown has none. A network may lose accuracy and go on answering evenly. Taken "
            "for each network by itself and then averaged: the entropy of pooled answers would be "
            f"larger. Confusion matrices are in the records' arrays. Bars are {INTERVALS}."
            + (f" The grey line is humans. {ATTRIBUTION}" if humans else ""),
        )
        by_level = each.rename(columns={"test_level": "step_level"})
        title = "Entropy of answers under degradations"
        return with_level_curves(view, board, RESPONSE_ENTROPY, by_level, title, humans)

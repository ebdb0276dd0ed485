"""Degraded and corrupted images: accuracy against strength, and how evenly a network answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from robench.board.charts.base import INTERVALS
from robench.board.charts.drawing import Drawing
from robench.board.charts.level_curves import ACCURACY, comparable_panels, with_level_curves
from robench.board.model.measured import measured
from robench.board.pictures.contact_sheet import photograph_sheet
from robench.board.views.base import View
from robench.degradations.levels import PUBLISHED
from robench.reference.humans import ATTRIBUTION

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Degradations"]

_PICTURE_SIDE = 112


class Degradations(View):
    """Accuracy against degradation level, one small multiple a kind; humans where they compare."""

    name = "degradations"
    title = "How robust are they to image degradations?"
    lead = "Accuracy as test images are degraded step by step, for each kind of degradation."
    place = 60

    def draw(self, board: Leaderboard) -> Drawing:
        """Curves against the level, a small multiple a kind."""
        each = measured(board.frame, "degrade", "accuracy")
        view = self.drawing(
            reading="The strength grows from left to right in the steps of the published levels, "
            "written below each axis; the steps of one kind do not compare with those of another. "
            "All networks of one data set see the same images with the same noise. Rotation is in "
            f"degrees and has no natural order. Bars are {INTERVALS}.",
        )
        if each.empty:
            missing = (
                "No network was shown degraded images in these results (stage degrade); add "
                "`degrade` to the suite's `evaluate`."
            )
            return replace(view, missing=missing)
        humans = comparable_panels(each)
        kinds = tuple(kind for kind in PUBLISHED if kind in set(each["kind"]))
        by_level = each.rename(columns={"test_level": "step_level"})
        drawn = with_level_curves(
            view, board, ACCURACY, by_level, "Accuracy under degradations", humans
        )
        return replace(
            drawn,
            reading=f"{drawn.reading} {_about_humans(board, humans)}",
            picture=photograph_sheet(kinds, _PICTURE_SIDE) if kinds else None,
            picture_title="What the levels look like",
        )


def _about_humans(board: Leaderboard, panels: list[str]) -> str:
    if not panels:
        return (
            "No humans are drawn: published observers saw photographs of 16 categories, and their "
            "accuracies are no yardstick for the images here (16-class-imagenet has such)."
        )
    others = len(panels) < len(board.panels)
    where = f"They are drawn for {', '.join(panels)} alone. " if others else ""
    return (
        f"The grey line is humans on other photographs of the same 16 categories. {where}"
        f"{ATTRIBUTION}"
    )

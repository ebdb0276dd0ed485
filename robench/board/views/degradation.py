"""Degraded and corrupted images: accuracy against strength, and how evenly a network answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from robench.board.model.measured import measured
from robench.board.pictures.contact_sheet import photograph_sheet
from robench.board.views.base import INTERVALS, View, panel_plots
from robench.board.views.controls import choices_of
from robench.board.views.incomplete import READING
from robench.board.views.level_curves import ACCURACY, RESPONSE_ENTROPY, level_curves
from robench.degradations.levels import PUBLISHED
from robench.reference.humans import ATTRIBUTION, is_comparable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from robench.board.model.leaderboard import Leaderboard
    from robench.board.views.level_curves import Measure

__all__ = ["corruption_views", "degradation_view", "response_views"]

_PICTURE_SIDE = 112


def degradation_view(board: Leaderboard) -> View:
    """Accuracy against degradation level, one small multiple a kind; humans where they compare."""
    each = measured(board.frame, "degrade", "accuracy")
    view = View(
        key="degradations",
        title="How does it bear degraded images?",
        lead="Accuracy as test images are degraded step by step, for each kind of degradation.",
        reading="The strength grows from left to right in the steps of the published levels, "
        "written below each axis; the steps of one kind do not compare with those of another. All "
        "networks of one data set see the same images with the same noise. Rotation is in degrees "
        f"and has no natural order. Bars are {INTERVALS}.",
    )
    if each.empty:
        missing = (
            "No network was shown degraded images in these results (stage degrade); add "
            "`degrade` to the suite's `evaluate`."
        )
        return replace(view, missing=missing)
    humans = _comparable_panels(each)
    kinds = tuple(kind for kind in PUBLISHED if kind in set(each["kind"]))
    by_level = each.rename(columns={"test_level": "step_level"})
    drawn = _drawn(view, board, ACCURACY, by_level, "Accuracy under degradations", humans)
    return replace(
        drawn,
        reading=f"{drawn.reading} {_about_humans(board, humans)}",
        picture=photograph_sheet(kinds, _PICTURE_SIDE) if kinds else None,
        picture_title="What the levels look like",
    )


def corruption_views(board: Leaderboard) -> tuple[View, ...]:
    """Accuracy against the severity of common corruptions, where networks were shown any."""
    each = measured(board.frame, "corrupt", "accuracy")
    if each.empty:
        return ()
    origins = "; ".join(
        f"{panel}: {', '.join(sorted(of.unique()))}"
        for panel, of in each.groupby("panel")["images"]
    )
    view = View(
        key="corruptions",
        title="How does it bear common corruptions?",
        lead="Accuracy at each severity of the corruptions of Hendrycks and Dietterich 2019.",
        reading="Severity grows from left to right. Images that were corrupted here are not those "
        "of ImageNet-C or CIFAR-10-C, and their errors do not compare with published ones; where "
        f"the images come from: {origins}. All networks of one data set see the same images. "
        f"Bars are {INTERVALS}.",
    )
    by_severity = each.rename(columns={"severity": "step_level"})
    return (_drawn(view, board, ACCURACY, by_severity, "Accuracy under corruptions"),)


def response_views(board: Leaderboard) -> tuple[View, ...]:
    """How evenly networks answer as images are degraded, where that was measured."""
    each = measured(board.frame, "degrade", RESPONSE_ENTROPY.metric)
    if each.empty:
        return ()
    humans = _comparable_panels(each)
    view = View(
        key="responses",
        title="Does it fall back on a few answers?",
        lead="Entropy of the answers to degraded images, in bits: it falls where a network answers "
        "few classes, whatever it is shown.",
        reading="Even answers to ten classes have 3.32 bits, to sixteen 4; one answer to all that "
        "is shown has none. A network may lose accuracy and go on answering evenly. Taken for each "
        "network by itself and then averaged: the entropy of pooled answers would be larger. "
        f"Confusion matrices are in the records' arrays. Bars are {INTERVALS}."
        + (f" The grey line is humans. {ATTRIBUTION}" if humans else ""),
    )
    by_level = each.rename(columns={"test_level": "step_level"})
    title = "Entropy of answers under degradations"
    return (_drawn(view, board, RESPONSE_ENTROPY, by_level, title, humans),)


def _drawn(
    view: View,
    board: Leaderboard,
    measure: Measure,
    each: pd.DataFrame,
    title: str,
    humans: Sequence[str] = (),
) -> View:
    """The view with its chart: the measure against the column ``step_level``."""
    choices = choices_of(board, each)
    spec = level_curves(board, measure, each, choices, humans)
    return replace(
        view,
        spec=spec,
        controls=choices.controls,
        plots=panel_plots(board, choices, spec, view.key, title),
        reading=f"{view.reading} {READING}",
    )


def _comparable_panels(each: pd.DataFrame) -> list[str]:
    """The panels beside whose networks humans may be drawn."""
    places = each.drop_duplicates("panel")
    comparable = places["data_name"].map(is_comparable)
    return sorted(places.loc[comparable.astype(bool), "panel"])


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

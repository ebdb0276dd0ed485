"""Accuracy against the level of each degradation, and against the severity of each corruption."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.comparable import ROW
from robench.board.contact_sheet import photograph_sheet
from robench.board.coverage import is_graded
from robench.board.estimates import estimates
from robench.board.humans import ATTRIBUTION, curve, is_comparable
from robench.board.measured import FRACTION, measured
from robench.board.views.base import (
    INTERVALS,
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
    training_control,
    value_and_bounds,
    without_hidden,
)
from robench.degradations.levels import PUBLISHED

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.leaderboard import Leaderboard
    from robench.board.views.base import Control

__all__ = ["corruption_views", "degradation_view"]

_WIDTH = 250
_HEIGHT = 170
_PICTURE_SIDE = 112
_EVERYWHERE = -1
"""Stands for every level, and for every training, of what has none of its own."""
_NAMED_PLACE = 4
_HUMANS = "#8b929c"
"""Grey on white and on black: humans are no method."""


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
    return replace(
        _drawn(view, board, each, "test_level", "degradations"),
        reading=f"{view.reading} {_about_humans(board, humans)}",
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
    return (_drawn(view, board, each, "severity", "corruptions"),)


def _drawn(view: View, board: Leaderboard, each: pd.DataFrame, steps: str, file_name: str) -> View:
    """The view with its chart: accuracy against the column `steps`."""
    each = each.rename(columns={steps: "step_level"})
    panels = [panel for panel in board.panels if panel in set(each["panel"])]
    trainings = [training for training in board.trainings if training in set(each["training"])]
    controls = (
        panel_control(board, panels),
        level_control(board.levels),
        training_control(board, trainings),
    )
    spec = _chart(board, _data(board, each), each["kind"].nunique(), controls)
    return replace(
        view,
        spec=spec,
        controls=controls,
        plots=panel_plots(
            board,
            panels,
            spec,
            file_name,
            f"Accuracy under {file_name}",
            asked=controls[1].default,
        ),
    )


def _comparable_panels(each: pd.DataFrame) -> list[str]:
    """The panels beside whose networks humans may be drawn."""
    places = each.drop_duplicates("panel")
    comparable = places["data"].map(is_comparable)
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


def _data(board: Leaderboard, each: pd.DataFrame) -> alt.InlineData:
    """All curves, with panels, trainings and methods as numbers to keep the page small."""
    found = estimates(each, [*ROW, "kind", "step_level"], bounds=FRACTION)
    places = _places(each)
    rows = [
        (
            board.panels.index(row["panel"]),
            board.trainings.index(row["training"]),
            board.methods.index(row["method"]),
            # The dense control has no level of its own and is shown at each.
            row["level"] if is_graded(row["method"]) else _EVERYWHERE,
            row["kind"],
            _step(places[row["kind"]], row["step_level"]),
            *value_and_bounds(row),
            *(row["seeds"], row["n"], None),
        )
        for row in found.to_dict("records")
    ]
    columns = ["panel", "training", "m", "level", "kind", "step"]
    columns += ["value", "low", "high", "seeds", "n", "named"]
    rows += _human_rows(board, _comparable_panels(each), places)
    return inline(rows, columns, [name for name in columns if name not in ("kind", "step")])


def _human_rows(
    board: Leaderboard, panels: list[str], places: Mapping[str, list[float]]
) -> Iterator[tuple[Any, ...]]:
    """Humans as a method of no number, at every level and training."""
    for panel in panels:
        number = board.panels.index(panel)
        for kind, steps in places.items():
            known = {at: accuracy for at, accuracy in curve(kind).items() if at in steps}
            for place, (strength, accuracy) in enumerate(known.items()):
                # Named where humans do well and networks do not any more, away from all else.
                named = int(place == min(_NAMED_PLACE, len(known) - 1))
                everywhere = (_EVERYWHERE, _EVERYWHERE, _EVERYWHERE)
                step = _step(steps, strength)
                yield (number, *everywhere, kind, step, accuracy, None, None, None, None, named)


def _step(steps: list[float], strength: float) -> str:
    """Ordered by place, shown by what follows the bar."""
    return f"{steps.index(strength):02d}|{'∞' if math.isinf(strength) else f'{strength:g}'}"


def _places(each: pd.DataFrame) -> dict[str, list[float]]:
    """The levels of each kind in the order in which they were measured: mildest first."""
    order = each.drop_duplicates(["kind", "step_level"])
    return {
        str(kind): [float(level) for level in of["step_level"]]
        for kind, of in order.groupby("kind", sort=True)
    }


def _chart(
    board: Leaderboard, data: alt.InlineData, kinds: int, controls: tuple[Control, ...]
) -> dict[str, Any]:
    chart = (
        alt.layer(*_human_layers(), *_network_layers(board), data=data)
        .properties(width=_WIDTH, height=_HEIGHT)
        .facet(
            facet=alt.Facet("kind:N", header=alt.Header(title=None, labelLimit=_WIDTH)), columns=4
        )
        .transform_filter("datum.panel === chosen_panel")
        .transform_filter("datum.training === chosen_training || datum.training < 0")
        .transform_filter("datum.level === chosen_level || datum.level < 0")
        .transform_calculate(method=f"datum.m < 0 ? 'humans' : {method_name(board, 'm')}")
        .transform_calculate(strength="split(datum.step, '|')[1]")
        .transform_filter(without_hidden())
        .resolve_scale(x="independent")
        .resolve_axis(y="independent")
    )
    return finished(chart, panel_width=_WIDTH, panels=kinds, controls=controls, beside=66)


def _x() -> alt.X:
    return alt.X(
        "step:O",
        axis=alt.Axis(title=None, labelExpr="split(datum.label, '|')[1]", labelAngle=0),
        scale=alt.Scale(type="point", padding=0.3),
    )


def _y() -> alt.Y:
    return alt.Y("value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", title=None))


def _human_layers() -> Iterator[alt.Chart]:
    """A broad grey line below all others, with its name."""
    humans = alt.Chart().transform_filter("datum.m < 0")
    yield humans.mark_line(strokeWidth=5, opacity=0.45, stroke=_HUMANS).encode(
        x=_x(), y=_y(), tooltip=tooltip(humans="value:Q|.1%", level="strength:N")
    )
    named = humans.transform_filter("datum.named")
    yield named.mark_text(align="center", dx=14, dy=-12, fontSize=11, fill=_HUMANS).encode(
        x=_x(), y=_y(), text=alt.value("humans")
    )


def _network_layers(board: Leaderboard) -> Iterator[alt.Chart]:
    dense = alt.condition("datum.method === 'dense'", alt.value([5, 4]), alt.value([1, 0]))
    networks = alt.Chart().transform_filter("datum.m >= 0")
    yield (
        networks.transform_filter("isValid(datum.low)")
        .mark_rule(opacity=0.4)
        .encode(x=_x(), y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board))
    )
    yield networks.mark_line(strokeWidth=1.8).encode(
        x=_x(), y=_y(), color=colour(board), strokeDash=dense
    )
    yield networks.mark_point(filled=True, size=38, opacity=1).encode(
        x=_x(),
        y=_y(),
        color=colour(board),
        shape=shape(board),
        tooltip=tooltip(
            method="method:N",
            kind="kind:N",
            level="strength:N",
            accuracy="value:Q|.1%",
            low="low:Q|.1%",
            high="high:Q|.1%",
            seeds="seeds:Q",
            images_for_each="n:Q",
        ),
    )

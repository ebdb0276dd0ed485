"""Accuracy against the level of each degradation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.comparable import ROW
from robench.board.coverage import is_graded
from robench.board.estimates import estimates
from robench.board.format import level, slug
from robench.board.measured import FRACTION, measured
from robench.board.views.base import (
    INTERVALS,
    Plot,
    View,
    chosen,
    colour,
    finished,
    inline,
    level_control,
    method_name,
    panel_control,
    shape,
    tooltip,
    training_control,
    without_hidden,
)

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.leaderboard import Leaderboard
    from robench.board.views.base import Control

__all__ = ["degradation_view"]

_WIDTH = 250
_HEIGHT = 170


def degradation_view(board: Leaderboard) -> View:
    """Accuracy against degradation level, one small multiple a kind."""
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
        plots=tuple(
            Plot(
                name=f"degradations-{number}-{slug(panel)}",
                caption=f"Accuracy on degraded images: {panel}, "
                f"sparsity {level(controls[1].default)}% where sparse",
                spec=chosen(spec, chosen_panel=board.panels.index(panel)),
            )
            for number, panel in enumerate(panels, start=1)
        ),
    )


def _data(board: Leaderboard, each: pd.DataFrame) -> alt.InlineData:
    """All curves, with panels, trainings and methods as numbers to keep the page small."""
    found = estimates(each, [*ROW, "kind", "test_level"], bounds=FRACTION)
    places = _places(each)
    rows = [
        (
            board.panels.index(row["panel"]),
            board.trainings.index(row["training"]),
            board.methods.index(row["method"]),
            # The dense control has no level of its own and is shown at each.
            row["level"] if is_graded(row["method"]) else -1,
            row["kind"],
            # Ordered by place, shown by what follows the bar.
            f"{places[row['kind']].index(row['test_level']):02d}|{_strength(row['test_level'])}",
            *(None if row[name] != row[name] else row[name] for name in ("value", "low", "high")),
            *(row["seeds"], row["n"]),
        )
        for row in found.to_dict("records")
    ]
    columns = ["panel", "training", "m", "level", "kind", "step"]
    columns += ["value", "low", "high", "seeds", "n"]
    return inline(rows, columns, [name for name in columns if name not in ("kind", "step")])


def _strength(test_level: float) -> str:
    return "∞" if math.isinf(test_level) else f"{test_level:g}"


def _places(each: pd.DataFrame) -> dict[str, list[float]]:
    """The levels of each kind in the order in which they were measured: mildest first."""
    order = each.drop_duplicates(["kind", "test_level"])
    return {
        str(kind): [float(level) for level in of["test_level"]]
        for kind, of in order.groupby("kind", sort=True)
    }


def _chart(
    board: Leaderboard, data: alt.InlineData, kinds: int, controls: tuple[Control, ...]
) -> dict[str, Any]:
    x = alt.X(
        "step:O",
        axis=alt.Axis(title=None, labelExpr="split(datum.label, '|')[1]", labelAngle=0),
        scale=alt.Scale(type="point", padding=0.3),
    )
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", title=None))
    dense = alt.condition("datum.method === 'dense'", alt.value([5, 4]), alt.value([1, 0]))
    base = alt.Chart()
    layers = [
        base.transform_filter("isValid(datum.low)")
        .mark_rule(opacity=0.4)
        .encode(x=x, y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board)),
        base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour(board), strokeDash=dense),
        base.mark_point(filled=True, size=38, opacity=1).encode(
            x=x,
            y=y,
            color=colour(board),
            shape=shape(board),
            tooltip=tooltip(
                method="method:N",
                degradation="kind:N",
                level="strength:N",
                accuracy="value:Q|.1%",
                low="low:Q|.1%",
                high="high:Q|.1%",
                seeds="seeds:Q",
                images_for_each="n:Q",
            ),
        ),
    ]
    chart = (
        alt.layer(*layers, data=data)
        .properties(width=_WIDTH, height=_HEIGHT)
        .facet(
            facet=alt.Facet("kind:N", header=alt.Header(title=None, labelLimit=_WIDTH)), columns=4
        )
        .transform_filter("datum.panel === chosen_panel && datum.training === chosen_training")
        .transform_filter("datum.level === chosen_level || datum.level < 0")
        .transform_calculate(method=method_name(board, "m"))
        .transform_calculate(strength="split(datum.step, '|')[1]")
        .transform_filter(without_hidden())
        .resolve_scale(x="independent")
        .resolve_axis(y="independent")
    )
    return finished(chart, panel_width=_WIDTH, panels=kinds, controls=controls, beside=66)

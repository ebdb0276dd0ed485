"""Accuracy against the radius that an attacker may push an image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from robench.board.charts.base import (
    HAS_INTERVAL,
    INTERVALS,
    calculated,
    chosen,
    colour,
    dashed_if,
    filters,
    finished,
    inline,
    is_dense,
    method_name,
    panel_name,
    small_multiples,
    tooltip,
    value_and_bounds,
    without_hidden,
)
from robench.board.charts.controls import LEVEL, TRAINING, Choices, Control, choices_of
from robench.board.charts.drawing import Drawing, Plot
from robench.board.charts.incomplete import READING, SEEDS, counted, daggers, seeds_of
from robench.board.model.comparable import ROW
from robench.board.model.estimates import estimates
from robench.board.model.format import level
from robench.board.model.measured import FRACTION, measured
from robench.board.views.base import View
from robench.stats.proportion import wilson_interval

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["AttackCurves"]

_WIDTH = 330
_HEIGHT = 240
_OVER = Control("chosen_over", "Accuracy", ((0, "of all images"), (1, "of those it gets right")), 0)


class AttackCurves(View):
    """Accuracy that is left at each l2 radius, of the methods at one level beside the dense."""

    name = "curves"
    title = "How does robust accuracy fall with the radius?"
    lead = (
        "Share of test images that stay correctly classified when each may be changed by up "
        "to a given l2 distance, at one level of sparsity beside the dense network."
    )
    place = 30

    def draw(self, board: Leaderboard) -> Drawing | None:
        """Curves of accuracy against radius, a small multiple a panel."""
        if not board.attacks:
            return None
        each = _curves_of(board)
        view = self.drawing(
            reading="Each curve starts at the accuracy on clean images; the area below it is the "
            "column l2 area. An image counts as lost from the closest adversarial on that any "
            "attack of the suite found, so that a curve can only be too high, and is where a flag "
            "is raised. Of the images that a network gets right, all curves start at 100%: that is "
            f"about other images for each network. Bands are {INTERVALS}. The dashed line is the "
            f"dense network. {READING}",
        )
        if each.empty:
            missing = (
                "No network was attacked in these results (stage attack); add `attack` to the "
                "suite's `evaluate`."
            )
            return replace(view, missing=missing)
        choices = choices_of(board, each, (LEVEL, TRAINING))
        spec = _chart(board, each, choices)
        shown = level(choices.start()[LEVEL])
        plot = Plot(
            "attack-curves", f"Accuracy against l2 radius, sparsity {shown}% where sparse", spec
        )
        relative = Plot(
            "attack-curves-relative",
            f"The same of the images that each network gets right, sparsity {shown}% where sparse",
            chosen(spec, chosen_over=1),
        )
        return replace(view, spec=spec, controls=(*choices.controls, _OVER), plots=(plot, relative))


def _curves_of(board: Leaderboard) -> pd.DataFrame:
    """Accuracy at each radius of each network, over all images and over those it gets right."""
    absolute = measured(board.frame, "attack", "accuracy_at")
    if absolute.empty:
        return absolute
    clean = measured(board.frame, "attack", "accuracy").set_index("id")["value"]
    right = (absolute["id"].map(clean) * absolute["n"].astype("float64")).round()
    known = absolute[right.gt(0) & absolute["value"].notna()]
    if known.empty:
        return absolute.assign(over=0)
    pairs = zip(known["value"], known["n"], known["id"].map(clean), strict=True)
    relative = known.copy()
    relative[["value", "low", "high", "n"]] = [
        _of_correct(value, int(n), accuracy) for value, n, accuracy in pairs
    ]
    return pd.concat([absolute.assign(over=0), relative.assign(over=1)])


def _of_correct(value: float, n: int, accuracy: float) -> tuple[float, float, float, int]:
    """Of the images that the network gets right, how many are left: counts are whole numbers."""
    left, correct = round(value * n), round(accuracy * n)
    return (left / correct, *wilson_interval(left, correct), correct)


def _chart(board: Leaderboard, each: pd.DataFrame, choices: Choices) -> dict[str, Any]:
    found = estimates(each, [*ROW, "over", "radius"], bounds=FRACTION)
    rows = [
        (
            board.panels.index(row["panel"]),
            board.trainings.index(row["training"]),
            board.methods.index(row["method"]),
            # The dense control has no level of its own and is shown at each.
            row["level"] if board.kinds[row["method"]].is_graded else -1,
            row["over"],
            row["radius"],
            *value_and_bounds(row),
            *(*seeds_of(board, row), row["n"]),
        )
        for row in found.to_dict("records")
    ]
    columns = [
        "p",
        "training",
        "m",
        "level",
        "over",
        "radius",
        "value",
        "low",
        "high",
        *SEEDS,
        "n",
    ]
    x = alt.X("radius:Q", axis=alt.Axis(title="l2 radius"), scale=alt.Scale(nice=False))
    y = alt.Y(
        "value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", title="accuracy")
    )
    dense = dashed_if(is_dense(board))
    base = alt.Chart()
    layers = [
        base.transform_filter(HAS_INTERVAL)
        .mark_area(opacity=0.1, line=False)
        .encode(x=x, y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board)),
        base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour(board), strokeDash=dense),
        base.mark_point(filled=True, size=16, opacity=1).encode(
            x=x,
            y=y,
            color=colour(board),
            tooltip=tooltip(
                method="method:N",
                l2_radius="radius:Q|.3~f",
                accuracy="value:Q|.1%",
                low="low:Q|.1%",
                high="high:Q|.1%",
                seeds="counted:N",
                images_for_each="n:Q",
            ),
        ),
        daggers(base, x=x, y=y),
    ]
    panels = [panel for panel in board.panels if panel in set(each["panel"])]
    chart = small_multiples(
        layers,
        inline(rows, columns, columns),
        by=alt.Facet("panel:N", sort=panels, header=alt.Header(title=None, labelLimit=_WIDTH)),
        columns=3,
        size=(_WIDTH, _HEIGHT),
        transform=[
            *filters(
                "datum.training === chosen_training && datum.over === chosen_over",
                "datum.level === chosen_level || datum.level < 0",
            ),
            *calculated(
                method=method_name(board, "m"), panel=panel_name(board, "p"), counted=counted()
            ),
            *filters(without_hidden()),
        ],
        independent={"scale": "x", "axis": "x"},
    )
    return finished(
        chart, panel_width=_WIDTH, panels=len(panels), controls=(_OVER,), choices=choices
    )

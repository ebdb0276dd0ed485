"""Curves of one measure against the level of each kind: a small multiple a kind, humans beside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.charts.base import (
    HAS_INTERVAL,
    calculated,
    colour,
    dashed_if,
    filters,
    finished,
    inline,
    is_dense,
    method_name,
    panel_plots,
    shape,
    small_multiples,
    tooltip,
    value_and_bounds,
    without_hidden,
)
from robench.board.charts.controls import choices_of
from robench.board.charts.incomplete import READING, SEEDS, counted, daggers, seeds_of
from robench.board.model.comparable import ROW
from robench.board.model.estimates import estimates
from robench.board.model.measured import FRACTION
from robench.reference.humans import Figure, curve, is_comparable

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.charts.controls import Choices
    from robench.board.charts.drawing import Drawing
    from robench.board.model.leaderboard import Leaderboard

__all__ = [
    "ACCURACY",
    "RESPONSE_ENTROPY",
    "Measure",
    "comparable_panels",
    "with_level_curves",
]

_WIDTH = 250
_HEIGHT = 170
_EVERYWHERE = -1
"""Stands for every level, and for every training, of what has none of its own."""
_NAMED_PLACE = 4
_COLUMNS = [
    *("panel", "training", "m", "level", "kind", "step"),
    *("value", "low", "high", *SEEDS, "n", "named"),
]
_VALUE = _COLUMNS.index("value")
_HUMANS = "#8b929c"
"""Grey on white and on black: humans are no method."""


@dataclass(frozen=True)
class Measure:
    """What a curve shows.

    Attributes:
        metric: its name in the records.
        human: the figure of published observers that it compares with.
        label: in tooltips.
        form: how its numbers are written, as d3 has it.
        bounds: least and greatest value that there is; where the latter is infinite, the axis ends
            at the largest mean.
    """

    metric: str
    human: Figure
    label: str
    form: str
    bounds: tuple[float, float]

    @property
    def axis_form(self) -> str:
        """How the numbers of the vertical axis are written."""
        return "%" if self.form.endswith("%") else "~g"


ACCURACY = Measure("accuracy", "accuracy", "accuracy", ".1%", FRACTION)
RESPONSE_ENTROPY = Measure("response_entropy_bits", "entropy_bits", "bits", ".2f", (0.0, math.inf))


def level_curves(
    board: Leaderboard,
    measure: Measure,
    each: pd.DataFrame,
    choices: Choices,
    humans: Sequence[str] = (),
) -> dict[str, Any]:
    """The chart, with all networks in it.

    Args:
        board: that the rows belong to.
        measure: what they are about.
        each: rows of that metric, with the level of each in the column ``step_level``.
        choices: of panel, level and training.
        humans: panels beside whose networks published observers are drawn.
    """
    places = _places(each)
    rows = list(_network_rows(board, measure, each, places))
    rows += _human_rows(board, measure, humans, places)
    values = [row[_VALUE] for row in rows if row[_VALUE] is not None]
    top = measure.bounds[1] if math.isfinite(measure.bounds[1]) else max(values, default=1.0)
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[measure.bounds[0], top]),
        axis=alt.Axis(format=measure.axis_form, title=None),
    )
    numbers = [name for name in _COLUMNS if name not in ("kind", "step")]
    return _chart(board, measure, y, inline(rows, _COLUMNS, numbers), len(places), choices)


def _network_rows(
    board: Leaderboard, measure: Measure, each: pd.DataFrame, places: Mapping[str, list[float]]
) -> Iterator[tuple[Any, ...]]:
    """All networks, with panels, trainings and methods as numbers to keep the page small."""
    found = estimates(each, [*ROW, "kind", "step_level"], bounds=measure.bounds)
    for row in found.to_dict("records"):
        yield (
            board.panels.index(row["panel"]),
            board.trainings.index(row["training"]),
            board.methods.index(row["method"]),
            # The dense control has no level of its own and is shown at each.
            row["level"] if board.kinds[row["method"]].is_graded else _EVERYWHERE,
            row["kind"],
            _step(places[row["kind"]], row["step_level"]),
            *value_and_bounds(row),
            *(*seeds_of(board, row), row["n"], None),
        )


def _human_rows(
    board: Leaderboard,
    measure: Measure,
    panels: Sequence[str],
    places: Mapping[str, list[float]],
) -> Iterator[tuple[Any, ...]]:
    """Humans as a method of no number, at every level and training."""
    for panel in panels:
        number = board.panels.index(panel)
        for kind, steps in places.items():
            published = curve(kind, of=measure.human)
            known = {at: value for at, value in published.items() if at in steps}
            for place, (strength, value) in enumerate(known.items()):
                # Named where humans do well and networks do not any more, away from all else.
                named = int(place == min(_NAMED_PLACE, len(known) - 1))
                everywhere = (_EVERYWHERE, _EVERYWHERE, _EVERYWHERE)
                nothing = (None, None, *(None for _ in SEEDS), None)
                step = _step(steps, strength)
                yield (number, *everywhere, kind, step, value, *nothing, named)


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
    board: Leaderboard,
    measure: Measure,
    y: alt.Y,
    data: alt.InlineData,
    kinds: int,
    choices: Choices,
) -> dict[str, Any]:
    chart = small_multiples(
        [*_human_layers(measure, y), *_network_layers(board, measure, y)],
        data,
        by=alt.Facet("kind:N", header=alt.Header(title=None, labelLimit=_WIDTH)),
        columns=4,
        size=(_WIDTH, _HEIGHT),
        transform=[
            *filters(
                "datum.panel === chosen_panel",
                "datum.training === chosen_training || datum.training < 0",
                "datum.level === chosen_level || datum.level < 0",
            ),
            *calculated(
                method=f"datum.m < 0 ? 'humans' : {method_name(board, 'm')}",
                strength="split(datum.step, '|')[1]",
                counted=counted(),
            ),
            *filters(without_hidden()),
        ],
        independent={"scale": "x", "axis": "y"},
    )
    return finished(chart, panel_width=_WIDTH, panels=kinds, choices=choices, beside=66)


def _x() -> alt.X:
    return alt.X(
        "step:O",
        axis=alt.Axis(title=None, labelExpr="split(datum.label, '|')[1]", labelAngle=0),
        scale=alt.Scale(type="point", padding=0.3),
    )


def _human_layers(measure: Measure, y: alt.Y) -> Iterator[alt.Chart]:
    """A broad grey line below all others, with its name."""
    value = f"value:Q|{measure.form}"
    humans = alt.Chart().transform_filter("datum.m < 0")
    yield humans.mark_line(strokeWidth=5, opacity=0.45, stroke=_HUMANS).encode(
        x=_x(), y=y, tooltip=tooltip(humans=value, level="strength:N")
    )
    named = humans.transform_filter("datum.named")
    yield named.mark_text(align="center", dx=14, dy=-12, fontSize=11, fill=_HUMANS).encode(
        x=_x(), y=y, text=alt.TextValue("humans")
    )


def _network_layers(board: Leaderboard, measure: Measure, y: alt.Y) -> Iterator[alt.Chart]:
    dense = dashed_if(is_dense(board))
    networks = alt.Chart().transform_filter("datum.m >= 0")
    yield (
        networks.transform_filter(HAS_INTERVAL)
        .mark_rule(opacity=0.4, clip=True)
        .encode(x=_x(), y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board))
    )
    yield networks.mark_line(strokeWidth=1.8).encode(
        x=_x(), y=y, color=colour(board), strokeDash=dense
    )
    yield networks.mark_point(filled=True, size=38, opacity=1).encode(
        x=_x(),
        y=y,
        color=colour(board),
        shape=shape(board),
        tooltip=tooltip(
            method="method:N",
            kind="kind:N",
            level="strength:N",
            **{measure.label: f"value:Q|{measure.form}"},
            low=f"low:Q|{measure.form}",
            high=f"high:Q|{measure.form}",
            seeds="counted:N",
            images_for_each="n:Q",
        ),
    )
    yield daggers(networks, x=_x(), y=y)


def with_level_curves(
    view: Drawing,
    board: Leaderboard,
    measure: Measure,
    each: pd.DataFrame,
    title: str,
    humans: Sequence[str] = (),
) -> Drawing:
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


def comparable_panels(each: pd.DataFrame) -> list[str]:
    """The panels beside whose networks humans may be drawn."""
    places = each.drop_duplicates("panel")
    comparable = places["data_name"].map(is_comparable)
    return sorted(places.loc[comparable.astype(bool), "panel"])

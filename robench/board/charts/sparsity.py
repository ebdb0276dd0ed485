"""Accuracy, and the distance to the nearest mistake, against achieved sparsity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.charts.base import (
    HAS_INTERVAL,
    INTERVALS,
    colour,
    filters,
    finished,
    inline,
    shape,
    small_multiples,
    tooltip,
    without_hidden,
)
from robench.board.charts.incomplete import DAGGER, READING, SEEDS, basis, daggers
from robench.board.model.estimates import Estimate
from robench.board.model.format import interval

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard
    from robench.board.model.rows import Row

__all__ = [
    "LEAST_REMAINING",
    "SPARSITY_READING",
    "cut",
    "cut_bounds",
    "sparsity_axis",
    "sparsity_chart",
]

_WIDTH = 330
_HEIGHT = 240
LEAST_REMAINING = 1e-5
_AXIS = (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 1e-4, 1e-5)
_BANDS = (
    f"Bands and bars are {INTERVALS}, cut where they would leave the panel; the tooltip gives "
    "them whole, and n."
)
SPARSITY_READING = (
    "The further right, the sparser: the axis opens the sparse end by the share of weights that "
    "remains, on a logarithmic scale, and places each network at the sparsity that was counted in "
    f"it, not at the one that was asked for. {_BANDS} {READING} "
)


def sparsity_chart(
    board: Leaderboard,
    column: Callable[[Row], Estimate | None],
    title: str,
    write: Callable[[float], str],
    unit: str,
) -> dict[str, Any] | None:
    """Curves with bands, one small multiple a panel; `None` where there is nothing to draw."""
    points = [
        point for row in board.rows if (point := _point(board, row, column(row), write, unit))
    ]
    if not points:
        return None
    cut_bounds(points)
    names = _names(board) if unit else {panel: panel for panel in board.panels}
    for point in points:
        point["panel"] = names[point["panel"]]
    curves = [point["remaining"] for point in points if not point["dense"]] or [1.0]
    columns = list(points[0])
    numbers = ("level", "remaining", "achieved", "value", "low", "high", "dense", "flagged", *SEEDS)
    data = inline([list(point.values()) for point in points], columns, numbers)
    x = sparsity_axis(min(curves), max(curves))
    scale = alt.Scale(zero=not unit, nice=True)
    axis = alt.Axis(title=title, format="%") if unit else alt.Axis(title=title)
    y = alt.Y("value:Q", scale=scale, axis=axis)
    has_flags = not unit and any(point["flagged"] for point in points)
    rings = _rings(x, y) if has_flags else []
    layers = [*_curves(board, x, y), *_dense(y), *rings]
    header = alt.Header(title=None, labelLimit=_WIDTH)
    chart = small_multiples(
        layers,
        data,
        by=alt.Facet("panel:N", sort=list(names.values()), header=header),
        columns=3,
        size=(_WIDTH, _HEIGHT),
        transform=filters(without_hidden()),
        independent={"scale": "y", "axis": "x"},
    )
    return finished(chart, panel_width=_WIDTH, panels=len({point["panel"] for point in points}))


def _point(
    board: Leaderboard,
    row: Row,
    estimate: Estimate | None,
    write: Callable[[float], str],
    unit: str,
) -> dict[str, Any] | None:
    achieved = row.level_achieved
    if row.training != "none" or estimate is None or estimate.value is None:
        return None
    if achieved is None or achieved.value is None:
        return None
    value = write(estimate.value)
    dagger = DAGGER if estimate.seeds < board.standing(row).seeds else ""
    return {
        "panel": row.panel,
        "method": row.method,
        "level": row.level,
        "achieved": achieved.value,
        "remaining": max(1 - achieved.value, LEAST_REMAINING),
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "dense": int(row.kind.is_dense),
        "text": f"{value}{unit} {interval(estimate, write)}".strip(),
        "label": f"{row.method} {value}{unit}{dagger}",
        "basis": basis(estimate, board.standing(row).seeds),
        "seeds": estimate.seeds,
        "of": board.standing(row).seeds,
        "flagged": int(bool(row.attack_doubts)),
        "flags": "; ".join(_remarks(row)) or "none",
    }


def _remarks(row: Row) -> Iterator[str]:
    """What a reader should know of its robustness."""
    if row.is_far_below_dense:
        yield "accuracy far below dense"
    yield from (f"{flag.name}: {flag.meaning}" for flag in row.flags)


def cut_bounds(points: list[dict[str, Any]], by: str = "panel") -> None:
    """Cut what is drawn of wide intervals, so that two seeds cannot flatten all curves.

    The tooltips and the table have the whole interval.
    """
    values: dict[str, list[float]] = {}
    for point in points:
        values.setdefault(point[by], []).append(point["value"])
    for point in points:
        least, most = min(values[point[by]]), max(values[point[by]])
        room = 0.2 * ((most - least) or most or 1.0)
        cut(point, least - room, most + room)


def cut(point: dict[str, Any], least: float, most: float) -> None:
    """Cut the interval of a point; where it is open on one side it reaches to the cut."""
    if point["low"] is None and point["high"] is None:
        return
    point["low"] = max(least if point["low"] is None else point["low"], least)
    point["high"] = min(most if point["high"] is None else point["high"], most)


def sparsity_axis(least: float, most: float) -> alt.X:
    """Sparsity on an axis of remaining weights: logarithmic, running to the sparse end."""
    low, high = least * 0.85, min(1.0, most * 1.18)
    ticks = [remaining for remaining in _AXIS if low <= remaining <= high]
    return alt.X(
        "remaining:Q",
        scale=alt.Scale(type="log", domain=[low, high], reverse=True, nice=False),
        axis=alt.Axis(
            title="sparsity (share of weights that are zero)",
            values=ticks,
            labelExpr="format(1 - datum.value, '.3~%')",
            labelOverlap=True,
        ),
    )


def _names(board: Leaderboard) -> dict[str, str]:
    """The names of the panels; where they go by different measures, each says by which."""
    measures = {row.panel: row.measure.name for row in board.rows}
    is_mixed = len(set(measures.values())) > 1
    return {panel: f"{panel}: {measures[panel]}" if is_mixed else panel for panel in board.panels}


def _curves(board: Leaderboard, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    curve = alt.Chart().transform_filter("!datum.dense")
    known = curve.transform_filter(HAS_INTERVAL).encode(
        x=x, y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board)
    )
    points = curve.mark_point(filled=True, size=55, opacity=1).encode(
        x=x,
        y=y,
        color=colour(board),
        shape=shape(board),
        tooltip=tooltip(
            network="panel:N",
            method="method:N",
            sparsity_asked_for="level:Q|.1~%",
            sparsity_achieved="achieved:Q|.2~%",
            value="text:N",
            rests_on="basis:N",
            flags="flags:N",
        ),
    )
    return [
        known.mark_area(opacity=0.13, line=False),
        known.mark_rule(opacity=0.45, strokeWidth=1),
        curve.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour(board)),
        points,
        daggers(curve, x=x, y=y),
    ]


def _dense(y: alt.Y) -> list[alt.Chart]:
    """The dense control as a line across the panel, with its interval and its name."""
    dense = alt.Chart().transform_filter("datum.dense")
    label = dense.mark_text(align="right", baseline="bottom", dx=-2, dy=-4, fontSize=11)
    return [
        dense.transform_filter(HAS_INTERVAL)
        .mark_rect(opacity=0.08)
        .encode(y=alt.Y("low:Q").title(""), y2="high:Q"),
        dense.mark_rule(strokeDash=[5, 4], strokeWidth=1.3).encode(y=y),
        label.encode(x=alt.value("width"), y=y, text="label:N"),
    ]


def _rings(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """A ring around each point that flatters its network."""
    ring = alt.Chart().transform_filter("!datum.dense && datum.flagged")
    mark = ring.mark_point(size=260, filled=False, strokeWidth=2, color="#f76707", shape="circle")
    return [mark.encode(x=x, y=y)]

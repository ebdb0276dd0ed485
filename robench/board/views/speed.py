"""Measured speed-up against the ratio of MACs."""

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
    filters,
    finished,
    inline,
    shape,
    small_multiples,
    tooltip,
    without_hidden,
)
from robench.board.charts.controls import Control
from robench.board.charts.drawing import Drawing, Plot
from robench.board.charts.incomplete import READING, SEEDS, counted, daggers, seeds_of
from robench.board.model.comparable import ROW
from robench.board.model.estimates import estimates
from robench.board.model.measured import measured
from robench.board.views.base import View

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["Speed"]

_SIZE = 290
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_FINE_TICKS = (0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8)


class Speed(View):
    """Speed-up of the compacted network against its MACs ratio, with the diagonal drawn."""

    name = "speed"
    title = "How large is the measured speed-up?"
    lead = (
        "Measured speed-up of the compacted network over the dense one, against the ratio "
        "of their multiply-accumulates."
    )
    place = 130

    def draw(self, board: Leaderboard) -> Drawing:
        """Speed-up against the ratio of MACs, both axes logarithmic."""
        points = _points(board)
        devices = ", ".join(sorted(set(board.frame["device"]))) if len(board.frame) else ""
        view = self.drawing(
            reading="On the dashed diagonal a network is as much faster as it has fewer "
            "MACs; below it, overheads eat the gain; below the dotted line it is slower than "
            "the dense network. Zeros that no whole neuron or filter shares cannot be removed, so "
            "that scattered sparsity stays at the left. Both axes are logarithmic; bars are "
            f"{INTERVALS}. {READING} Device: {devices}; one thread.",
        )
        if points.empty:
            missing = (
                "No network was timed in these results (stage speed), or none quietly enough to "
                "publish; add `speed` to the suite's `evaluate`."
            )
            return replace(view, missing=missing)
        batches = sorted(int(size) for size in points["batch_size"].unique())
        options = tuple((float(size), f"{size}") for size in batches)
        control = Control("chosen_batch", "Batch size", options, float(batches[-1]))
        spec = _chart(board, points, control)
        return replace(
            view,
            spec=spec,
            controls=(control,),
            plots=tuple(
                Plot(
                    name=f"speed-batch-{size}",
                    caption=f"Measured speed-up against MACs ratio, batch size {size}",
                    spec=chosen(spec, chosen_batch=size),
                )
                for size in batches
            ),
        )


def _points(board: Leaderboard) -> pd.DataFrame:
    speedup = measured(board.frame, "speed", "speedup")
    ratio = measured(board.frame, "speed", "operation_ratio")
    if speedup.empty or ratio.empty:
        return pd.DataFrame()
    measured_ = estimates(speedup, [*ROW, "batch_size"], geometric=True)
    counted = estimates(ratio, ROW, geometric=True)[[*ROW, "value"]]
    joined = measured_.merge(counted.rename(columns={"value": "ratio"}), on=ROW)
    return joined[joined["training"] == "none"].dropna(subset=["value", "ratio"])


def _chart(board: Leaderboard, points: pd.DataFrame, control: Control) -> dict[str, Any]:
    columns = ["panel", "method", "level", "batch_size", "ratio", "value", "low", "high"]
    columns += [*SEEDS, "n"]
    points = points.assign(of=[seeds_of(board, row)[1] for row in points.to_dict("records")])
    rows = points[columns].astype(object).where(points[columns].notna(), None)
    numbers = [name for name in columns if name not in ("panel", "method")]
    data = inline(rows.to_numpy().tolist(), columns, numbers)
    low = 0.8 * min(1.0, points["ratio"].min(), points["value"].min())
    most_counted = 1.25 * max(2.0, points["ratio"].max())
    most_measured = 1.25 * max(2.0, points["value"].max())
    x = alt.X("ratio:Q", **_log_axis("MACs ratio", low, most_counted))
    y = alt.Y("value:Q", **_log_axis("speed-up", low, most_measured))
    layers = [*_guides(low, most_counted, most_measured), *_marks(board, x, y)]
    header = alt.Header(title=None, labelLimit=_SIZE)
    chart = small_multiples(
        layers,
        data,
        by=alt.Facet("panel:N", sort=list(board.panels), header=header),
        columns=3,
        size=(_SIZE, _SIZE),
        transform=[
            *filters(f"datum.batch_size === {control.parameter}"),
            *calculated(counted=counted()),
            *filters(without_hidden()),
        ],
        independent={"axis": "xy"},
    )
    return finished(chart, panel_width=_SIZE, panels=points["panel"].nunique(), controls=(control,))


def _log_axis(title: str, low: float, high: float) -> dict[str, Any]:
    usual = _TICKS if high / low > 10 else _FINE_TICKS
    axis = alt.Axis(
        title=title,
        values=[tick for tick in usual if low <= tick <= high],
        format="~g",
        labelExpr="datum.label + '×'",
        labelOverlap=True,
        grid=True,
    )
    return {"scale": alt.Scale(type="log", domain=[low, high], nice=False), "axis": axis}


def _guides(low: float, most_counted: float, most_measured: float) -> list[alt.Chart]:
    """The diagonal, on which time is proportional to MACs, and the line of no gain."""
    once = alt.Chart().transform_aggregate(cells="count()", groupby=["panel"])
    both = min(most_counted, most_measured)
    diagonal = once.mark_rule(strokeDash=[5, 4], opacity=0.7).encode(
        x=alt.XDatum(low), x2=alt.X2Datum(both), y=alt.YDatum(low), y2=alt.Y2Datum(both)
    )
    no_gain = once.mark_rule(strokeDash=[1, 3], opacity=0.9).encode(
        x=alt.XDatum(low), x2=alt.X2Datum(most_counted), y=alt.YDatum(1)
    )
    return [diagonal, no_gain]


def _marks(board: Leaderboard, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    base = alt.Chart()
    return [
        base.mark_line(strokeWidth=1, opacity=0.45).encode(
            x=x, y=y, color=colour(board), order="level:Q"
        ),
        base.transform_filter(HAS_INTERVAL)
        .mark_rule(opacity=0.5, clip=True)
        .encode(x=x, y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board)),
        base.mark_point(filled=True, size=60, opacity=0.95).encode(
            x=x,
            y=y,
            color=colour(board),
            shape=shape(board),
            tooltip=tooltip(
                network="panel:N",
                method="method:N",
                sparsity_asked_for="level:Q|.1~%",
                macs_ratio="ratio:Q|.2f",
                speed_up="value:Q|.2f",
                low="low:Q|.2f",
                high="high:Q|.2f",
                seeds="counted:N",
            ),
        ),
        daggers(base, x=x, y=y),
    ]

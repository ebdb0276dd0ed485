"""Calibration: a reliability diagram of each method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.charts.base import (
    calculated,
    colour,
    dashed_if,
    filters,
    finished,
    inline,
    is_dense,
    method_name,
    panel_name,
    panel_plots,
    shape,
    small_multiples,
    tooltip,
    without_hidden,
)
from robench.board.charts.controls import choices_of
from robench.board.charts.drawing import Drawing
from robench.board.charts.incomplete import READING, SEEDS, counted, daggers
from robench.board.model.details import details_of
from robench.board.model.flags import records_of
from robench.board.model.format import percent
from robench.board.views.base import View
from robench.stages.calibration import CalibrationDetails

if TYPE_CHECKING:
    from robench.board.charts.controls import Choices
    from robench.board.model.leaderboard import Leaderboard
    from robench.board.model.measured import RowKey
    from robench.spec import Record
    from robench.stages.calibration import Bin

__all__ = ["Calibration"]

_WIDTH, _HEIGHT = 420, 380
_EVERYWHERE = -1
"""Stands for every level of what has none of its own."""
_COLUMNS = (
    *("panel", "training", "m", "level"),
    *("low", "high", "confidence", "accuracy", "count", "error", *SEEDS),
)


class Calibration(View):
    """Accuracy against confidence on clean inputs, where that was measured."""

    name = "calibration"
    title = "Are the networks calibrated?"
    lead = (
        "Share of right answers to clean inputs among those of about one confidence, the "
        "largest probability that the network gives."
    )
    place = 90

    def draw(self, board: Leaderboard) -> Drawing | None:
        """Accuracy against confidence, a mark a bin."""
        found = records_of(("calibration",), board.records, board.frame)
        if not found:
            return None
        view = self.drawing(
            reading="On the dashed diagonal a network is calibrated; below it, it is surer than it "
            "is right. Each mark is a bin of confidence, in which the answers of all seeds are put "
            "together; the larger, the more they are, and a small mark says little. The expected "
            "calibration error, mean distance from the diagonal over all answers, stands in the "
            "table. Adaptive error, Brier score and log-likelihood, and all of them on degraded "
            f"images, are in the records. {READING}",
        )
        is_shown = board.frame["stage"].eq("calibration") & board.frame["status"].eq("ok")
        choices = choices_of(board, board.frame[is_shown])
        errors = {row.key: row.others["ece"].value for row in board.rows if "ece" in row.others}
        rows = [
            row
            for key, records in found.items()
            for row in _rows(board, key, errors.get(key), [_bars(of) for of in records])
        ]
        spec = _chart(board, rows, choices)
        return replace(
            view,
            spec=spec,
            controls=choices.controls,
            plots=panel_plots(board, choices, spec, view.key, "Accuracy against confidence"),
        )


def _bars(record: Record) -> tuple[Bin, ...]:
    found = details_of(record, CalibrationDetails)
    return found.reliability if found is not None else ()


def _rows(
    board: Leaderboard, key: RowKey, error: float | None, of_seeds: list[tuple[Bin, ...]]
) -> Iterator[tuple[object, ...]]:
    """The bins of one row of the leaderboard, the answers of all seeds together."""
    panel, training, method, asked = key
    told = f"{percent(error)}%" if error is not None else ""
    for bins in zip(*of_seeds, strict=True):
        count = sum(each.count for each in bins)
        if count:
            yield (
                board.panels.index(panel),
                board.trainings.index(training),
                board.methods.index(method),
                asked if board.kinds[method].is_graded else _EVERYWHERE,
                *(bins[0].low, bins[0].high),
                _mean((each.confidence, each.count) for each in bins),
                _mean((each.accuracy, each.count) for each in bins),
                count,
                told,
                *(len(of_seeds), board.standings[key].seeds),
            )


def _mean(values: Iterable[tuple[float | None, int]]) -> float:
    known = [(value, count) for value, count in values if value is not None]
    return sum(value * count for value, count in known) / sum(count for _, count in known)


def _chart(board: Leaderboard, rows: list[tuple[object, ...]], choices: Choices) -> dict[str, Any]:
    data = inline(rows, _COLUMNS, [name for name in _COLUMNS if name != "error"])
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("confidence:Q", scale=unit, axis=alt.Axis(format="%", title="confidence"))
    y = alt.Y("accuracy:Q", scale=unit, axis=alt.Axis(format="%", title="accuracy"))
    base = alt.Chart()
    once = base.transform_aggregate(bins="count()")
    nought, one = alt.datum(0), alt.datum(1)
    diagonal = once.mark_rule(strokeDash=[5, 4], opacity=0.7).encode(
        x=nought, x2=one, y=nought, y2=one
    )
    lines = base.mark_line(strokeWidth=1.6).encode(
        x=x, y=y, color=colour(board), strokeDash=dashed_if(is_dense(board)), order="low:Q"
    )
    marks = base.mark_point(filled=True, opacity=1).encode(
        x=x,
        y=y,
        size=alt.Size("count:Q", scale=alt.Scale(type="sqrt", range=[12, 240]), legend=None),
        color=colour(board),
        shape=shape(board),
        tooltip=tooltip(
            method="method:N",
            confidence="confidence:Q|.1%",
            accuracy="accuracy:Q|.1%",
            answers="count:Q|,",
            calibration_error="error:N",
            seeds="counted:N",
        ),
    )
    chart = small_multiples(
        [diagonal, lines, marks, daggers(base, x=x, y=y)],
        data,
        by=alt.Facet("name:N", header=alt.Header(title=None, labelLimit=_WIDTH)),
        columns=1,
        size=(_WIDTH, _HEIGHT),
        transform=[
            *filters(
                "datum.panel === chosen_panel",
                "datum.training === chosen_training",
                "datum.level === chosen_level || datum.level < 0",
            ),
            *calculated(
                method=method_name(board, "m"),
                counted=counted(),
                name=panel_name(board, "panel"),
            ),
            *filters(without_hidden()),
        ],
    )
    return finished(chart, panel_width=_WIDTH, panels=1, choices=choices)

"""How far a sparse network must be pushed, as a multiple of its dense parent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.charts.base import (
    HAS_INTERVAL,
    INTERVALS,
    calculated,
    colour,
    filters,
    finished,
    inline,
    method_name,
    panel_name,
    shape,
    small_multiples,
    tooltip,
    without_hidden,
)
from robench.board.charts.controls import Control
from robench.board.charts.drawing import Drawing, Plot
from robench.board.charts.incomplete import DAGGER, READING, SEEDS, basis, daggers, seeds_of
from robench.board.charts.sparsity import LEAST_REMAINING, cut, sparsity_axis
from robench.board.model.comparable import ROW
from robench.board.model.estimates import Estimate, estimate_of, estimates
from robench.board.model.format import NO_VALUE, interval, level, ratio
from robench.board.model.tables import Entry, Table
from robench.board.views.base import View

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.leaderboard import Leaderboard

__all__ = ["AttackRatio"]

_WIDTH = 330
_HEIGHT = 220
_CHOICES = (
    ("both-correct", "geometric_mean_ratio", "geometric mean, images both get right"),
    ("both-correct", "ratio_of_medians", "medians, images both get right"),
    ("all", "ratio_of_medians", "medians, all images"),
    ("all", "ratio_of_areas", "areas under accuracy, all images"),
)
"""Set of images and measure, in words. Image by image, a wrong answer at distance zero has no
ratio, so that of all images there is no geometric mean."""
_KEY = [*ROW, "over", "measure"]


class AttackRatio(View):
    """The distance of sparse networks over that of the dense network of the same seed."""

    name = "parents"
    title = "Is a sparse network easier to fool than its dense parent?"
    lead = (
        "The l2 distance to the nearest mistake as a multiple of that of the dense network "
        "of the same seed, on the same images; above 1 the sparse network must be pushed further."
    )
    place = 40

    def draw(self, board: Leaderboard) -> Drawing | None:
        """Ratios with intervals against sparsity, and the sign test as a table."""
        if not board.attacks:
            return None
        each = board.against_parent
        view = self.drawing(
            reading="Networks are compared image by image, so that which images they get right "
            "does not blur the comparison. Of all images, a wrong answer is a distance of zero: a "
            "network that errs more often loses there. Of the images that both get right, only the "
            "distance counts. The sign test asks whether images are nearer in one of both more "
            "often than chance would have it, and says nothing of by how much. Bars are "
            f"{INTERVALS}, cut where they would leave the panel; ratios of several seeds are "
            f"averaged geometrically. {READING}",
        )
        if each.empty:
            missing = (
                "No attacked sparse network stands beside a dense one of the same seed with the "
                "distances of each image; `robench board RESULTS` finds them in the results folder."
            )
            return replace(view, missing=missing)
        found = estimates(each, _KEY, geometric=True)
        control = Control(
            "chosen_measure", "Ratio of", tuple(enumerate(words for *_, words in _CHOICES)), 0
        )
        spec = _chart(board, found, control)
        over, measure, words = _CHOICES[0]
        plot = Plot(
            f"dense-parent-{measure.replace('_', '-')}-{over}",
            f"l2 distance as a multiple of the dense network's: {words}",
            spec,
        )
        return replace(
            view,
            spec=spec,
            controls=(control,),
            plots=(plot,),
            tables=tuple(_tables(board, each, found)),
        )


def _chart(board: Leaderboard, found: pd.DataFrame, control: Control) -> dict[str, Any]:
    achieved = {row.key: row.level_achieved for row in board.rows}
    places = {choice[:2]: place for place, choice in enumerate(_CHOICES)}
    points: list[dict[str, Any]] = []
    for row in found.to_dict("records"):
        place = places.get((row["over"], row["measure"]))
        counted = achieved.get((row["panel"], row["training"], row["method"], row["level"]))
        estimate = estimate_of(row)
        if place is None or row["training"] != "none" or estimate.value is None:
            continue
        share = counted.value if counted is not None and counted.value is not None else row["level"]
        points.append(
            {
                "p": board.panels.index(row["panel"]),
                "m": board.methods.index(row["method"]),
                "measure": place,
                "achieved": share,
                "remaining": max(1 - share, LEAST_REMAINING),
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "text": f"{ratio(estimate.value)} {interval(estimate, ratio)}".strip(),
                "basis": basis(estimate, seeds_of(board, row)[1]),
                **dict(zip(SEEDS, seeds_of(board, row), strict=True)),
            }
        )
    _cut_bounds(points)
    remaining = [point["remaining"] for point in points] or [1.0]
    x = sparsity_axis(min(remaining), max(remaining))
    scale = alt.Scale(type="log", nice=False)
    y = alt.Y("value:Q", scale=scale, axis=alt.Axis(title="sparse over dense", format="~g"))
    base = alt.Chart()
    layers = [
        base.mark_rule(strokeDash=[5, 4], strokeWidth=1.3).encode(y=alt.YDatum(1)),
        base.transform_filter(HAS_INTERVAL)
        .mark_rule(opacity=0.45)
        .encode(x=x, y=alt.Y("low:Q").title(""), y2="high:Q", color=colour(board)),
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour(board)),
        base.mark_point(filled=True, size=50, opacity=1).encode(
            x=x,
            y=y,
            color=colour(board),
            shape=shape(board),
            tooltip=tooltip(
                method="method:N",
                sparsity_achieved="achieved:Q|.2~%",
                sparse_over_dense="text:N",
                rests_on="basis:N",
            ),
        ),
        daggers(base, x=x, y=y),
    ]
    columns = [
        "p",
        "m",
        "measure",
        "achieved",
        "remaining",
        "value",
        "low",
        "high",
        *SEEDS,
        "text",
        "basis",
    ]
    rows = [[point[column] for column in columns] for point in points]
    data = inline(rows, columns, columns[:-2])
    panels = [panel for panel in board.panels if panel in set(found["panel"])]
    chart = small_multiples(
        layers,
        data,
        by=alt.Facet("panel:N", sort=panels, header=alt.Header(title=None, labelLimit=_WIDTH)),
        columns=3,
        size=(_WIDTH, _HEIGHT),
        transform=[
            *filters("datum.measure === chosen_measure"),
            *calculated(method=method_name(board, "m"), panel=panel_name(board, "p")),
            *filters(without_hidden()),
        ],
        independent={"scale": "y", "axis": "x"},
    )
    return finished(chart, panel_width=_WIDTH, panels=len(panels), controls=(control,))


def _cut_bounds(points: Sequence[dict[str, Any]]) -> None:
    """Cut what is drawn of wide intervals, as factors: the tooltip has them whole."""
    values: dict[tuple[int, int], list[float]] = {}
    for point in points:
        values.setdefault((point["p"], point["measure"]), []).append(point["value"])
    for point in points:
        shown = [*values[point["p"], point["measure"]], 1.0]
        room = 1.1 * (max(shown) / min(shown)) ** 0.2
        cut(point, min(shown) / room, max(shown) * room)


def _tables(board: Leaderboard, each: pd.DataFrame, found: pd.DataFrame) -> Iterator[Table]:
    """For each panel a line for each method and level."""
    known = {
        tuple(row[name] for name in _KEY): estimate_of(row) for row in found.to_dict("records")
    }
    signs = dict(iter(each.groupby([*ROW, "over"], sort=False)))
    for panel in board.panels:
        rows = [row for row in board.rows if (*row.key, "all") in signs and row.panel == panel]
        if not rows:
            continue
        lines = []
        previous = ("", "")
        for row in rows:
            named = (row.method, row.training)
            training = "" if row.training == "none" else f"trained on {row.training}"
            lines.append(
                (
                    Entry(*((row.method, training) if named != previous else ("", ""))),
                    Entry(f"{level(row.level)}%"),
                    *(
                        _ratio(known.get((*row.key, over, measure)), board.standing(row).seeds)
                        for over, measure, _ in _CHOICES
                    ),
                    *(_signs(signs.get((*row.key, over))) for over in ("both-correct", "all")),
                )
            )
            previous = named
        yield Table(
            caption=panel,
            groups=(("", 2), ("both right", 2), ("all images", 2), ("further : nearer", 2)),
            heads=(
                *("method", "level"),
                *("geometric mean, ×", "medians, ×", "medians, ×", "areas, ×"),
                *("both right", "all images"),
            ),
            rows=tuple(lines),
            words=2,
        )


def _ratio(found: Estimate | None, of: int) -> Entry:
    if found is None or found.value is None:
        return Entry(NO_VALUE)
    dagger = DAGGER if found.seeds < of else ""
    return Entry(ratio(found.value) + dagger, interval(found, ratio))


def _signs(of: pd.DataFrame | None) -> Entry:
    """Over all seeds; the p-value is the largest of theirs, since their images are the same."""
    if of is None:
        return Entry(NO_VALUE)
    first = of.drop_duplicates("seed")
    largest = float(first["p_value"].max())
    told = "p < 0.001" if largest < 0.001 else f"p = {largest:.3f}"
    at_most = told if len(first) == 1 or largest < 0.001 else told.replace("=", "≤")
    return Entry(f"{int(first['further'].sum()):,} : {int(first['nearer'].sum()):,}", at_most)

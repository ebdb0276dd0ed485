"""What a view consists of, and what all charts have in common."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.model.format import level, slug
from robench.board.model.quality import QUALITIES
from robench.board.views.controls import LEVEL, PANEL, Choices, Control

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard
    from robench.board.model.tables import Table

__all__ = [
    "HAS_INTERVAL",
    "HIDDEN",
    "INTERVALS",
    "Plot",
    "View",
    "chosen",
    "colour",
    "finished",
    "inline",
    "is_dense",
    "method_name",
    "panel_name",
    "panel_plots",
    "quality_names",
    "shape",
    "tooltip",
    "value_and_bounds",
    "without_hidden",
]

HIDDEN = "hidden_methods"
"""The parameter that holds the methods which the reader has switched off."""


HAS_INTERVAL = "isValid(datum.low) && isValid(datum.high)"
"""An expression: an interval that is open on one side has no bar of its own accord."""
INTERVALS = (
    "95% intervals over seeds and the inputs that they share, or, where there is one seed, of that "
    "one network"
)
"""What bars and bands are, for the texts of the views."""


@dataclass(frozen=True)
class Plot:
    """A chart that is also written as an SVG file."""

    name: str
    """File name without its ending."""
    caption: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class View:
    """One question to the results, with its chart.

    Args:
        key: anchor on the page.
        title: what it is about.
        lead: what it shows, in a sentence.
        reading: how to read it.
        spec: Vega-Lite without configuration; `None` where there is nothing to draw.
        missing: why there is nothing to draw.
        controls: the reader's choices.
        plots: the SVG files.
        tables: in place of a chart.
        picture: an SVG element of robench's own, folded up below the chart.
        picture_title: what it shows.
        picture_open: whether it is unfolded at first.
    """

    key: str
    title: str
    lead: str
    reading: str
    spec: dict[str, Any] | None = None
    missing: str | None = None
    controls: tuple[Control, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    picture: str | None = None
    picture_title: str = ""
    picture_open: bool = False


def panel_plots(
    board: Leaderboard, choices: Choices, spec: dict[str, Any], name: str, caption: str
) -> tuple[Plot, ...]:
    """The chart of a view once for each panel that the reader may choose.

    Args:
        board: which numbers its panels.
        choices: of panel, and of level and training where the chart has them: each plot has the
            best that its panel has.
        spec: with their parameters.
        name: with which the file names begin.
        caption: what all of them show.
    """
    numbers = dict.fromkeys(values[0] for values in choices.combinations)
    plots = []
    for place, number in enumerate(sorted(numbers), start=1):
        values = choices.start(**{PANEL: number})
        panel = board.panels[int(number)]
        at = f", sparsity {level(values[LEVEL])}% where sparse" if LEVEL in values else ""
        file = f"{name}-{place}-{slug(panel)}"
        plots.append(Plot(file, f"{caption}: {panel}{at}", chosen(spec, **values)))
    return tuple(plots)


def value_and_bounds(row: Mapping[Hashable, Any]) -> tuple[float | None, ...]:
    """Value, low and high of a row of a frame; what is NaN there is missing in a chart."""
    return tuple(None if row[name] != row[name] else row[name] for name in ("value", "low", "high"))


def inline(
    rows: Iterable[Sequence[object]], columns: Sequence[str], numbers: Sequence[str]
) -> alt.InlineData:
    """Rows as CSV inside the chart, which takes half the space of JSON objects.

    Args:
        rows: one value a column; `None` is a missing value.
        columns: names of the columns.
        numbers: which of them are numbers.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_short(value) for value in row] for row in rows)
    parse = {column: "number" if column in numbers else "string" for column in columns}
    return alt.InlineData(values=text.getvalue(), format=alt.CsvDataFormat(type="csv", parse=parse))


def finished(
    chart: Any,
    *,
    panel_width: int,
    panels: int,
    controls: Sequence[Control] = (),
    choices: Choices | None = None,
    beside: int = 86,
) -> dict[str, Any]:
    """The chart as a dictionary, the same bytes for the same chart.

    Args:
        chart: an Altair chart.
        panel_width: width of a small multiple, which the page fits to the window.
        panels: how many small multiples there are at most.
        controls: the reader's choices, which the chart begins with the defaults of.
        choices: those of them that depend on each other.
        beside: what the axis and the gap take of the width beside each small multiple.
    """
    spec: dict[str, Any] = chart.to_dict()
    # Altair's own theme and the address of the schema have no place on the page.
    spec.pop("$schema", None)
    spec.pop("config", None)
    controls = (*(choices.controls if choices is not None else ()), *controls)
    first = {HIDDEN: [], **{control.parameter: control.default for control in controls}}
    spec["params"] = [{"name": name, "value": value} for name, value in first.items()]
    spec["usermeta"] = {
        "panel_width": panel_width,
        "panels": panels,
        "beside": beside,
        **({"choices": choices.for_page} if choices is not None else {}),
    }
    return spec


def chosen(spec: Mapping[str, Any], **values: float) -> dict[str, Any]:
    """The same chart with other choices of the reader."""
    parameters = [
        {**parameter, "value": values.get(parameter["name"], parameter["value"])}
        for parameter in spec["params"]
    ]
    return {**spec, "params": parameters}


def colour(board: Leaderboard) -> alt.Color:
    """Methods by colour, the same on all charts."""
    scale = alt.Scale(domain=list(board.methods))
    return alt.Color("method:N", scale=scale, title="method")


def shape(board: Leaderboard) -> alt.Shape:
    """Methods by marker, the same on all charts."""
    scale = alt.Scale(domain=list(board.methods))
    return alt.Shape("method:N", scale=scale, title="method")


def tooltip(**fields: str) -> list[alt.Tooltip]:
    """Title → field and, after a bar, its format: ``accuracy="value:Q|.1%"``."""
    found = []
    for title, field in fields.items():
        name, _, form = field.partition("|")
        words = title.replace("_", " ")
        found.append(
            alt.Tooltip(name, title=words, format=form) if form else alt.Tooltip(name, title=words)
        )
    return found


def quality_names(board: Leaderboard) -> str:
    """What networks are judged by on this board: ``accuracy``, ``R²``, ``accuracy or R²``."""
    found = {row.measure.name for row in board.rows}
    return " or ".join(quality.name for quality in QUALITIES if quality.name in found) or "accuracy"


def without_hidden() -> str:
    """A filter: leaves out the methods that the reader has switched off."""
    return f"indexof({HIDDEN}, datum.method) < 0"


def is_dense(board: Leaderboard) -> str:
    """An expression: whether the mark is of the dense control."""
    dense = [label for label, kind in board.kinds.items() if kind.is_dense]
    return f"indexof({json.dumps(dense)}, datum.method) >= 0"


def method_name(board: Leaderboard, field: str) -> str:
    """An expression for the name of a method that is stored by its number."""
    return f"{json.dumps(list(board.methods))}[datum.{field}]"


def panel_name(board: Leaderboard, field: str) -> str:
    """An expression for the name of a panel that is stored by its number."""
    return f"{json.dumps(list(board.panels))}[datum.{field}]"


def _short(value: object) -> object:
    # Four digits are finer than any chart; `None` becomes an empty field.
    return format(value, ".5g") if isinstance(value, float) else value

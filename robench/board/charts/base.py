"""What a view consists of, and what all charts have in common."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.charts.controls import LEVEL, PANEL, Choices, Control
from robench.board.charts.drawing import Plot
from robench.board.model.format import level, slug
from robench.board.model.quality import QUALITIES

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard

__all__ = [
    "HAS_INTERVAL",
    "HIDDEN",
    "INTERVALS",
    "calculated",
    "chosen",
    "colour",
    "dashed_if",
    "filters",
    "finished",
    "ink",
    "inline",
    "is_dense",
    "method_name",
    "panel_name",
    "panel_plots",
    "quality_names",
    "shape",
    "small_multiples",
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


def small_multiples(
    layers: Sequence[alt.Chart],
    data: alt.InlineData,
    *,
    by: alt.Facet,
    columns: int,
    size: tuple[float, float | Mapping[str, float]],
    transform: Sequence[Mapping[str, str]],
    independent: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """A small multiple of the same layers for each value of a field.

    Altair's own ``layer(…).facet(…).transform_filter(…)`` copies all layers at each step, and that
    would be most of the time that a board takes.

    Args:
        layers: what each of them shows, the lowest first.
        data: of all of them.
        by: the field.
        columns: how many stand side by side at most.
        size: width and height of each, in pixels, or ``{"step": …}`` of each row.
        transform: of the data, from `filters` and `calculated`.
        independent: ``scale`` or ``axis`` → the channels, x or y, in which each has its own.
    """
    width, height = size
    spec: dict[str, Any] = {
        **_named(data),
        "facet": by.to_dict(),
        "spec": {
            "layer": [_as_layer(chart, data) for chart in layers],
            "width": width,
            "height": height,
        },
        "columns": columns,
        "transform": list(transform),
    }
    if independent is not None:
        spec["resolve"] = {
            what: dict.fromkeys(channels, "independent") for what, channels in independent.items()
        }
    return spec


def _named(data: alt.InlineData) -> dict[str, Any]:
    """The data by the name that Altair gives them, and what it stands for."""
    whole: dict[str, Any] = alt.Chart(data).mark_point().to_dict(validate=False)
    return {name: whole[name] for name in ("data", "datasets")}


def _as_layer(chart: alt.Chart, data: alt.InlineData) -> dict[str, Any]:
    """Without what only a whole chart has: it shows the data of all layers."""
    context = {"top_level": False, "data": data}
    found: dict[str, Any] = chart.to_dict(validate=False, context=context)
    return found


def filters(*expressions: str) -> list[dict[str, str]]:
    """Transforms that leave out the rows of which an expression is not true."""
    return [{"filter": expression} for expression in expressions]


def calculated(**expressions: str) -> list[dict[str, str]]:
    """Transforms that add fields: name → expression."""
    return [{"as": name, "calculate": expression} for name, expression in expressions.items()]


def finished(
    spec: Mapping[str, Any],
    *,
    panel_width: int,
    panels: int,
    controls: Sequence[Control] = (),
    choices: Choices | None = None,
    beside: int = 86,
) -> dict[str, Any]:
    """The chart with what the page needs to know of it, the same bytes for the same chart.

    Args:
        spec: from `small_multiples`.
        panel_width: width of a small multiple, which the page fits to the window.
        panels: how many small multiples there are at most.
        controls: the reader's choices, which the chart begins with the defaults of.
        choices: those of them that depend on each other.
        beside: what the axis and the gap take of the width beside each small multiple.
    """
    controls = (*(choices.controls if choices is not None else ()), *controls)
    first = {HIDDEN: [], **{control.parameter: control.default for control in controls}}
    return {
        **spec,
        "params": [{"name": name, "value": value} for name, value in first.items()],
        "usermeta": {
            "panel_width": panel_width,
            "panels": panels,
            "beside": beside,
            **({"choices": choices.for_page} if choices is not None else {}),
        },
    }


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


def dashed_if(test: str) -> alt.StrokeDashValue:
    """Dashed lines where an expression is true, whole ones elsewhere."""
    return alt.StrokeDashValue([1, 0], condition={"test": test, "value": [5, 4]})


def ink(test: str, there: str, elsewhere: str) -> alt.ColorValue:
    """One colour where an expression is true, another elsewhere."""
    return alt.ColorValue(elsewhere, condition={"test": test, "value": there})


def method_name(board: Leaderboard, field: str) -> str:
    """An expression for the name of a method that is stored by its number."""
    return f"{json.dumps(list(board.methods))}[datum.{field}]"


def panel_name(board: Leaderboard, field: str) -> str:
    """An expression for the name of a panel that is stored by its number."""
    return f"{json.dumps(list(board.panels))}[datum.{field}]"


def _short(value: object) -> object:
    # Four digits are finer than any chart; `None` becomes an empty field.
    return format(value, ".5g") if isinstance(value, float) else value

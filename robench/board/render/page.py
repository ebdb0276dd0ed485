"""The page: one HTML file that carries everything it needs and asks the network for nothing."""

from __future__ import annotations

import importlib.resources
from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import robench
from robench.board.model.columns import ACHIEVED, DISTANCE, other_levels, shown
from robench.board.model.format import level, percent
from robench.board.model.machine import machine_name
from robench.board.model.rows import FAR_BELOW_DENSE
from robench.board.render.scripts import (
    chart_script,
    hash_source,
    licences,
    table_module,
    table_style,
)
from robench.board.render.theme import DARK, LIGHT, chart_config, styles

if TYPE_CHECKING:
    from robench.board.charts.drawing import Drawing
    from robench.board.model.leaderboard import Leaderboard
    from robench.spec import Record

__all__ = ["page"]


def page(board: Leaderboard, views: Iterable[Drawing], *, title: str) -> str:
    """The whole of ``index.html``.

    Everything that comes from records is escaped: text as HTML, data as JSON in which no
    character can end a script element. Should something slip through nevertheless, the page's
    Content-Security-Policy names its own scripts by their hashes, and the browser runs no other.

    Args:
        board: the rows.
        views: the charts.
        title: heading and title of the page.
    """
    environment = Environment(
        loader=PackageLoader("robench.board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": _breakable,
        "level": level,
        "percent": percent,
        "with_code": _with_code,
    }
    views = tuple(views)
    methods = styles(board.kinds.values())
    own_script = _template_file("board.js")
    charts = chart_script() if any(view.spec for view in views) else ""
    return environment.get_template("index.html.jinja").render(
        title=title,
        version=robench.__version__,
        board=board,
        views=views,
        facts=_facts(board),
        methods=methods,
        palettes={"light": LIGHT, "dark": DARK},
        achieved=ACHIEVED,
        columns=shown(board.rows),
        distance=DISTANCE,
        far_below=FAR_BELOW_DENSE,
        other_levels=other_levels(board.rows),
        failures=_failures(board.unsuccessful),
        specs={view.key: view.spec for view in views if view.spec},
        configs={
            name: chart_config(palette, methods)
            for name, palette in (("light", LIGHT), ("dark", DARK))
        },
        own_style=_template_file("board.css"),
        own_script=own_script,
        chart_script=charts,
        script_hashes=" ".join(hash_source(script) for script in (charts, own_script) if script),
        table_module=table_module() if board.rows else "",
        table_style=table_style() if board.rows else "",
        licences=licences(),
    )


def _breakable(name: str) -> Markup:
    """A name that may be broken before its parameters and at its commas."""
    return escape(name).replace("[", Markup("<wbr>[")).replace(",", Markup(",<wbr>"))


def _with_code(text: str) -> Markup:
    """A sentence of robench's own, with what stands in backticks as code."""
    parts = text.split("`")
    codes = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    plain = [escape(part) for part in parts[::2]]
    return Markup("").join(piece for pair in zip_longest(plain, codes) for piece in pair if piece)


def _template_file(name: str) -> str:
    file = importlib.resources.files("robench.board") / "templates" / name
    return file.read_text(encoding="utf-8")


def _facts(board: Leaderboard) -> list[tuple[str, str]]:
    """What the reader should know first, as pairs of word and value."""
    if not board.records:
        return []
    cells = [record.cell for record in board.records]
    suites = sorted({f"{cell.suite}, version {cell.suite_version}" for cell in cells})
    seeds = Counter(cell.seed for cell in cells)
    machines = sorted({name for record in board.records if (name := machine_name(record))})
    counts = [f"{count:,} {status.replace('-', ' ')}" for status, count in board.statuses.items()]
    grid = [
        ("Networks", f"{len(board.panels)} (data set × model)"),
        ("Methods", f"{len(board.methods)} at {len(board.levels)} levels"),
        ("Seeds", str(len(seeds))),
    ]
    coverage = ("Coverage", f"{percent(board.coverage.share)}% of applicable cells")
    layers = len({record.cell.model.name for record in board.layers})
    return [
        ("Suite", "; ".join(suites)),
        *(grid if board.rows else ()),
        *([("Layers", f"{layers}, timed one by one")] if layers else ()),
        ("Cells", ", ".join(counts)),
        *([coverage] if board.rows else ()),
        ("Device", "; ".join(machines) or ", ".join(sorted({cell.device for cell in cells}))),
    ]


def _failures(records: Iterable[Record]) -> list[tuple[str, str, list[Record]]]:
    """Status, reason, and the records that share both; the reasons of most cells first."""
    grouped: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        key = (record.status, record.reason or "no reason was recorded")
        grouped.setdefault(key, []).append(record)
    ordered = sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(*key, of) for key, of in ordered]

"""Charts as SVG files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import vl_convert

from robench.board.render.scripts import vega_lite_version
from robench.board.render.theme import LIGHT, chart_config, styles
from robench.escape import for_xml

if TYPE_CHECKING:
    from robench.board.charts.drawing import Plot
    from robench.board.model.leaderboard import Leaderboard

__all__ = ["MARK", "drawn"]

_log = logging.getLogger(__name__)

MARK = "<!-- drawn by robench -->"
"""The last line of each file, by which a later build knows its own."""


def drawn(plots: Iterable[Plot], board: Leaderboard) -> dict[str, str]:
    """File name → SVG, on a white ground, with a legend; a plot that fails is left out and logged.

    Args:
        plots: what to draw.
        board: gives the methods their colours.
    """
    config = chart_config(LIGHT, styles(board.kinds.values()))
    version = vega_lite_version()
    found = {}
    for plot in plots:
        try:
            spec = _for_xml({**plot.spec, "config": config})
            svg = vl_convert.vegalite_to_svg(spec, vl_version=version)
        except ValueError:  # what the converter raises, whatever went wrong
            _log.exception("the plot %r cannot be drawn; the rest of the board can", plot.name)
            continue
        found[f"{plot.name}.svg"] = f"{_numbered_anew(svg)}\n{MARK}\n"
    return found


def _for_xml(value: Any) -> Any:
    """The same with text that SVG can hold: the converter aborts the process over any other."""
    if isinstance(value, str):
        return for_xml(value)
    if isinstance(value, Mapping):
        return {key: _for_xml(item) for key, item in value.items()}
    return [_for_xml(item) for item in value] if isinstance(value, list | tuple) else value


def _numbered_anew(svg: str) -> str:
    """The same drawing with its ids counted from 0: Vega counts through a whole process."""
    numbers: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        number = numbers.setdefault(found["name"], len(numbers))
        return f"{found['before']}part-{number}"

    return re.sub(r'(?P<before>\bid="|url\(#)(?P<name>clip\d+|gradient_\d+)', numbered, svg)

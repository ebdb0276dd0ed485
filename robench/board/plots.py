"""Charts as SVG files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import vl_convert

from robench.board.scripts import vega_lite_version
from robench.board.theme import LIGHT, chart_config, styles

if TYPE_CHECKING:
    from robench.board.leaderboard import Leaderboard
    from robench.board.views.base import Plot

__all__ = ["MARK", "drawn"]

_log = logging.getLogger(__name__)

_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
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
            svg = vl_convert.vegalite_to_svg({**plot.spec, "config": config}, vl_version=version)
        except ValueError:  # what the converter raises, whatever went wrong
            _log.exception("the plot %r cannot be drawn; the rest of the board can", plot.name)
            continue
        found[f"{plot.name}.svg"] = f"{_valid_xml(_numbered_anew(svg))}\n{MARK}\n"
    return found


def _valid_xml(svg: str) -> str:
    """The same without the characters that XML has no place for: names come from strangers."""
    return _NOT_XML.sub("\ufffd", svg)


def _numbered_anew(svg: str) -> str:
    """The same drawing with its ids counted from 0: Vega counts through a whole process."""
    numbers: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        number = numbers.setdefault(found["name"], len(numbers))
        return f"{found['before']}part-{number}"

    return re.sub(r'(?P<before>\bid="|url\(#)(?P<name>clip\d+|gradient_\d+)', numbered, svg)

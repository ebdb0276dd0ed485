"""What a view of the board gives: texts, and a chart, tables or a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.board.charts.controls import Control
    from robench.board.model.tables import Table

__all__ = ["Drawing", "Plot"]


@dataclass(frozen=True)
class Plot:
    """A chart that is also written as an SVG file."""

    name: str
    """File name without its ending."""
    caption: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Drawing:
    """One question to the results, with the chart that answers it.

    Args:
        key: anchor on the page: the name of the view.
        title: the question.
        lead: what is shown, in a sentence.
        reading: how to read it.
        spec: Vega-Lite without configuration; `None` where there is nothing to draw.
        missing: why there is nothing to draw.
        controls: the reader's choices.
        plots: the SVG files.
        tables: in place of a chart, or below it.
        picture: an SVG element of robench's own, folded up below the chart.
        picture_title: what it shows.
        picture_open: whether it is unfolded at first.
    """

    key: str
    title: str
    lead: str
    reading: str = ""
    spec: dict[str, Any] | None = None
    missing: str | None = None
    controls: tuple[Control, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    picture: str | None = None
    picture_title: str = ""
    picture_open: bool = False

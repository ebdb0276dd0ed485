"""Colours, marker shapes and the look of charts, light and dark.

The colours of the series are those of Okabe and Ito, which people with any of the common colour
deficiencies can tell apart, lightened for dark backgrounds; each series has a shape of its own
too. The dense control is drawn in ink and `random` in grey, on every board.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.board.model.versions import Method

__all__ = ["DARK", "LIGHT", "Palette", "Style", "chart_config", "styles"]


@dataclass(frozen=True)
class Palette:
    """One colour scheme."""

    ink: str
    muted: str
    line: str
    paper: str
    grey: str
    series: tuple[str, ...]


LIGHT = Palette(
    ink="#1d2530",
    muted="#46505d",
    line="#e4e7ec",
    paper="#ffffff",
    grey="#8b929c",
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
)
DARK = Palette(
    ink="#e8ecf2",
    muted="#a9b5c3",
    line="#2b333e",
    paper="#171c23",
    grey="#8b95a1",
    series=("#4c9fe6", "#ff8f4d", "#2ec4a0", "#e79ccb", "#f5bd4a", "#9ad8ff"),
)

_SHAPES = {
    # Names that Vega-Lite knows, drawn on a square from -1 to 1.
    "circle": "M-.9,0a.9,.9 0 1,0 1.8,0a.9,.9 0 1,0 -1.8,0",
    "square": "M-.8,-.8H.8V.8H-.8Z",
    "triangle-up": "M0,-.9L.95,.75H-.95Z",
    "diamond": "M0,-1.05L.8,0L0,1.05L-.8,0Z",
    "cross": "M-.35,-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
    "triangle-down": "M0,.9L.95,-.75H-.95Z",
    "triangle-right": "M.9,0L-.75,.95V-.95Z",
}


@dataclass(frozen=True)
class Style:
    """How one method is drawn."""

    method: str
    """Its label."""
    role: str
    """``ink``, ``grey`` or the number of a series: the name of its colour."""
    shape: str

    @property
    def path(self) -> str:
        """The marker as an SVG path on a square from -1 to 1."""
        return _SHAPES[self.shape]

    def colour(self, palette: Palette) -> str:
        """The colour in one scheme."""
        named = {"ink": palette.ink, "grey": palette.grey}
        return named.get(self.role) or palette.series[int(self.role)]


def styles(methods: Iterable[Method]) -> tuple[Style, ...]:
    """A colour and a shape for each method; 6 colours and 7 shapes repeat only after 42."""
    found = []
    shapes = list(_SHAPES)
    of_controls = {"dense": ("ink", "square"), "random": ("grey", "cross")}
    count = 0
    for method in methods:
        # Each of them once: `random` with other parameters is a series like all others.
        if (style := of_controls.pop(method.name, None)) is not None:
            found.append(Style(method.label, *style))
        else:
            role = str(count % len(LIGHT.series))
            found.append(Style(method.label, role, shapes[count % len(shapes)]))
            count += 1
    return tuple(found)


def chart_config(palette: Palette, methods: Sequence[Style]) -> dict[str, Any]:
    """Vega-Lite's configuration in one scheme; charts themselves name no colours."""
    font = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
    axis = {
        "labelColor": palette.muted,
        "titleColor": palette.muted,
        "gridColor": palette.line,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "titlePadding": 10,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
    }
    return {
        "background": palette.paper,
        "font": font,
        "view": {"stroke": None},
        "axis": axis,
        "header": {
            "labelColor": palette.ink,
            "labelFontSize": 13,
            "labelFontWeight": "bold",
            "labelAnchor": "start",
            "labelPadding": 8,
            "title": None,
        },
        "legend": {
            "labelColor": palette.ink,
            "titleColor": palette.muted,
            "titleFontWeight": "normal",
            "labelFontSize": 12,
            "labelLimit": 240,
            "symbolSize": 90,
            "symbolOpacity": 1,
        },
        "range": {
            "category": [style.colour(palette) for style in methods],
            "symbol": [style.shape for style in methods],
        },
        "text": {"color": palette.ink},
        "rule": {"color": palette.ink},
        "rect": {"color": palette.ink},
        "title": {"color": palette.ink},
    }

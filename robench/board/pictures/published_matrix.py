"""The published matrix of training and test distortions as a picture.

Nothing measured here is ever in the same table or on the same scale of colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from html import escape

from robench.reference.published_transfer import PUBLISHED_LEVELS, published_matrix

__all__ = ["PICTURE_TITLE", "published_picture"]

PICTURE_TITLE = "The published matrix: other networks, other images"

_FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
_SCALE = ((255, 245, 235), (253, 141, 60), (127, 39, 4))
"""Oranges, which no measured matrix is drawn in."""
_CELL, _STEP, _NAMES, _TOP, _MARGIN = 46, 26, 226, 140, 12
_NOTE = (
    "Accuracy in percent of ResNet-50 on 16-class-ImageNet (Geirhos et al. 2018, arXiv 1808.08750, "
    "CC BY 4.0);",
    "chance is 6.25. Each kind at one level. A: 100 epochs, B and C: 200. Outlined: trained on it.",
)


@lru_cache(maxsize=1)
def published_picture() -> str:
    """The matrix as SVG, in the page's ink."""
    table = published_matrix()
    tests = ["clean", *PUBLISHED_LEVELS]
    width = _NAMES + _CELL * len(tests) + 2 * _MARGIN + 60
    height = _TOP + _STEP * len(table) + _MARGIN
    parts = [_text(line, _MARGIN, 20 + 18 * number) for number, line in enumerate(_NOTE)]
    for column, test in enumerate(tests):
        x, y = _NAMES + _MARGIN + _CELL * (column + 0.5), _TOP - 8
        level = f" {PUBLISHED_LEVELS[test]:g}" if PUBLISHED_LEVELS.get(test, 1.0) != 1.0 else ""
        parts.append(
            f'<g transform="translate({x:g} {y:g}) rotate(-40)">{_text(test + level, 0, 0)}</g>'
        )
    for place, (name, row) in enumerate(table.iterrows()):
        y = _TOP + _STEP * place
        parts.append(_text(str(name), _MARGIN, y + 17))
        parts.append(_text(row["trained_on"], _NAMES + _MARGIN - 8, y + 17, anchor="end"))
        for column, test in enumerate(tests):
            x = _NAMES + _MARGIN + _CELL * column
            parts += _cell(float(row[test]), x, y, is_own=_is_own(str(row["trained_on"]), test))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}" font-family="{_FONT}" fill="currentColor">',
            *parts,
            "</svg>\n",
        ]
    )


def _cell(percent: float, x: float, y: float, *, is_own: bool) -> Iterator[str]:
    box = f'width="{_CELL - 1}" height="{_STEP - 1}" rx="2"'
    yield f'<rect x="{x:g}" y="{y:g}" {box} fill="{_shade(percent / 100)}"/>'
    if is_own:
        inner = f'width="{_CELL - 3}" height="{_STEP - 3}" rx="2"'
        yield (
            f'<rect x="{x + 1:g}" y="{y + 1:g}" {inner} fill="none" stroke="#0072b2" '
            'stroke-width="2.5"/>'
        )
    ink = "#10151c" if percent < 62 else "#ffffff"
    yield _text(f"{percent:.0f}", x + _CELL / 2, y + 17, anchor="middle", fill=ink)


def _shade(share: float) -> str:
    """Its colour, between the three of the scale."""
    place = 2 * share
    low, high = _SCALE[int(place >= 1)], _SCALE[int(place >= 1) + 1]
    part = place - int(place >= 1)
    mixed = (round(a + part * (b - a)) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _is_own(trained_on: str, test: str) -> bool:
    if trained_on.startswith("all but "):
        return test not in (trained_on.removeprefix("all but "), "greyscale")
    return test in trained_on.split(" + ")


def _text(
    words: str, x: float, y: float, *, anchor: str = "start", fill: str = "currentColor"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="12" text-anchor="{anchor}" fill="{fill}">'
        f"{escape(words)}</text>"
    )

"""One image through every kind and level of degradation, on one sheet: SVG, and PNG out of it."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import torch
import vl_convert
from PIL import Image, ImageOps

from robench.degradations import DEGRADATIONS_REGISTRY
from robench.degradations.corruptions import CORRUPTIONS, SEVERITIES, Constants, corrupt, obstacle

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "PHOTOGRAPH_CREDIT",
    "Strip",
    "corruption_strips",
    "degradation_strips",
    "photograph",
    "photograph_sheet",
    "png",
    "sheet",
]

PHOTOGRAPH_CREDIT = "photograph by danielbuechele, CC BY 2.0, as scikit-learn ships it"

_FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
_LEAST_TILE = 96
"""Smaller images are drawn enlarged, pixel by pixel."""
_USUAL_TILE = 128
"""The tile beside which the measures below look right; with larger tiles all of them grow."""
_LABELS_WIDTH = 200
_LABEL_LETTERS = 32
_LABEL_LINES = 7
_GAP = 8
_LEVEL_HEIGHT = 18
_BETWEEN_ROWS = 14
_HEAD = 74
_MARGIN = 22


@dataclass(frozen=True)
class Strip:
    """A row of the sheet.

    Args:
        name: of the kind.
        note: what its levels measure.
        tiles: for each level its text and the image, uint8 [H, W] or [H, W, 3].
        without: why there are no tiles.
    """

    name: str
    note: str
    tiles: tuple[tuple[str, NDArray[np.uint8]], ...] = ()
    without: str | None = None


def photograph(side: int) -> torch.Tensor:
    """A photograph of a temple, float32 [1, 3, side, side] in [0, 1]; see `PHOTOGRAPH_CREDIT`."""
    from sklearn.datasets import load_sample_image

    image = Image.fromarray(load_sample_image("china.jpg"))
    fitted = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1)[None].float() / 255


def degradation_strips(
    image: torch.Tensor,
    kinds: Sequence[str],
    *,
    seed: int = 0,
    index: int = 0,
    undistorted: torch.Tensor | None = None,
) -> Iterator[Strip]:
    """A strip for each kind, at its published levels.

    Args:
        image: float32 [1, C, H, W] in [0, 1].
        kinds: names of degradations.
        seed: of the noise.
        index: of the image in its data set, which the noise depends on.
        undistorted: images of that data set, to which kinds that depend on it are fitted.
    """
    channels, height, width = image.shape[1:]
    for kind in kinds:
        degradation = DEGRADATIONS_REGISTRY.get(kind)
        if not degradation.takes(channels, height, width):
            shape = f"{'grey ' * (channels == 1)}images of {height} x {width} pixels"
            yield Strip(kind, degradation.unit, without=f"not for {shape}")
            continue
        if undistorted is not None:
            degradation = degradation.fitted(undistorted)
        yield Strip(
            kind,
            degradation.unit,
            tuple(
                (
                    "∞" if level == float("inf") else f"{level:g}",
                    _pixels(degradation(image, level, seed=seed, index=[index])),
                )
                for level in degradation.levels
            ),
        )


def corruption_strips(
    image: torch.Tensor, constants: Constants, *, seed: int = 0, index: int = 0
) -> Iterator[Strip]:
    """A strip for each common corruption, at severities 1 to 5.

    Args:
        image: float32 [1, C, H, W] in [0, 1].
        constants: what the severities mean, see `robench.degradations.corruptions`.
        seed: of the noise.
        index: of the image in its data set.

    Raises:
        PluginError: imagecorruptions is needed and not installed.
    """
    for kind, known in CORRUPTIONS.items():
        note = known.group if known.is_common else f"{known.group}; one of the four extra kinds"
        why_not = obstacle(kind, constants, tuple(image.shape[1:]))
        if why_not is not None:
            yield Strip(kind, note, without=why_not)
            continue
        yield Strip(
            kind,
            note,
            tuple(
                (
                    str(severity),
                    _pixels(corrupt(image, kind, severity, seed, [index], constants)),
                )
                for severity in SEVERITIES
            ),
        )


def sheet(strips: Sequence[Strip], *, title: str, note: str, lossy: bool = False) -> str:
    """The sheet as SVG: inside a page it takes the page's ink, alone it is black on white.

    Images keep their size in pixels, small ones a multiple of it.

    Args:
        strips: from top to bottom; at least one has tiles.
        title: heading.
        note: a line below it.
        lossy: JPEG in place of PNG for each tile, which makes the file several times smaller.
    """
    first = next(strip.tiles[0][1] for strip in strips if strip.tiles)
    height, width = first.shape[:2]
    shown_width = width * -(-_LEAST_TILE // min(height, width))
    # Everything is laid out around tiles of one size, and the whole is scaled to the one asked for.
    shown_height = _USUAL_TILE * height / width
    columns = max(len(strip.tiles) for strip in strips)
    across = 2 * _MARGIN + _LABELS_WIDTH + columns * (_USUAL_TILE + _GAP) - _GAP
    parts = [
        _text(title, _MARGIN, 36, size=20, weight="bold"),
        _text(note, _MARGIN, 56, size=12, opacity=0.7),
    ]
    top: float = _HEAD
    for strip in strips:
        lines = textwrap.wrap(strip.note, _LABEL_LETTERS)[:_LABEL_LINES]
        parts += _label(strip.name, lines, top)
        if strip.without is not None:
            parts.append(_text(strip.without, _MARGIN + _LABELS_WIDTH, top + 14, opacity=0.7))
        for column, (text, pixels) in enumerate(strip.tiles):
            x = _MARGIN + _LABELS_WIDTH + column * (_USUAL_TILE + _GAP)
            parts += _tile(text, pixels, x, top, shown_height, lossy=lossy)
        tiles = shown_height + _LEVEL_HEIGHT if strip.tiles else 0.0
        top += max(tiles, 22 + 15 * len(lines)) + _BETWEEN_ROWS
    scale = shown_width / _USUAL_TILE
    down = top + _MARGIN - _BETWEEN_ROWS
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:g} {down:g}" '
        f'width="{across * scale:g}" height="{down * scale:g}" font-family="{_FONT}" '
        f'fill="currentColor">'
    )
    return "\n".join([head, *parts, "</svg>\n"])


def png(svg: str, *, paper: str = "#ffffff") -> bytes:
    """The same sheet as PNG, one pixel a unit.

    Args:
        svg: a sheet.
        paper: colour behind it.
    """
    head, rest = svg.split(">", 1)
    whole = f'{head}><rect width="100%" height="100%" fill="{paper}"/>{rest}'
    drawn: bytes = vl_convert.svg_to_png(whole, scale=1, ppi=72)
    return drawn


def _label(name: str, lines: Sequence[str], top: float) -> Iterator[str]:
    yield _text(name, _MARGIN, top + 14, size=14, weight="bold")
    for number, line in enumerate(lines):
        yield _text(line, _MARGIN, top + 32 + 15 * number, opacity=0.7)


def _tile(
    text: str, pixels: NDArray[np.uint8], x: float, top: float, height: float, *, lossy: bool
) -> Iterator[str]:
    box = f'x="{x:g}" y="{top:g}" width="{_USUAL_TILE}" height="{height:g}"'
    yield (
        f'<image {box} preserveAspectRatio="none" image-rendering="optimizeSpeed" '
        f'style="image-rendering:pixelated" href="{_data_uri(pixels, lossy=lossy)}"/>'
    )
    # White images need an edge on white paper, black ones on black.
    yield f'<rect {box} fill="none" stroke="currentColor" stroke-opacity="0.25"/>'
    yield _text(text, x + _USUAL_TILE / 2, top + height + 14, anchor="middle")


def _text(
    words: str,
    x: float,
    y: float,
    *,
    size: int = 12,
    weight: str = "normal",
    opacity: float = 1.0,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" opacity="{opacity:g}">{escape(words)}</text>'
    )


def _data_uri(pixels: NDArray[np.uint8], *, lossy: bool) -> str:
    file = io.BytesIO()
    if lossy:
        Image.fromarray(pixels).save(file, "JPEG", quality=85)
    else:
        Image.fromarray(pixels).save(file, "PNG")
    kind = "jpeg" if lossy else "png"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _pixels(image: torch.Tensor) -> NDArray[np.uint8]:
    """uint8 [H, W] where all channels agree, else [H, W, 3]."""
    codes: NDArray[np.uint8] = image[0].mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    is_grey = codes.shape[2] == 1 or (codes == codes[..., :1]).all()
    return np.ascontiguousarray(codes[..., 0] if is_grey else codes)


@lru_cache(maxsize=8)
def photograph_sheet(kinds: tuple[str, ...], side: int) -> str:
    """The sheet of `photograph` for a page: small, and made once a process."""
    strips = list(degradation_strips(photograph(side), kinds))
    title, note = "One photograph at every level", PHOTOGRAPH_CREDIT
    return sheet(strips, title=title, note=note, lossy=True)

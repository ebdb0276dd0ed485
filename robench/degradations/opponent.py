"""Opponent colours: hues mirrored, luminance kept (Geirhos et al. 2018, arXiv 1808.08750).

In the space of Derrington, Krauskopf and Lennie 1984, spanned by the cones' responses around grey,
the paper negates both axes of colour. All of its matrices together come to this: in linear light a
channel becomes twice the luminance less itself.
"""

from __future__ import annotations

import importlib.resources
from functools import lru_cache, partial

import torch
from torch import Tensor

from robench.degradations.base import Degradation
from robench.degradations.levels import PUBLISHED

__all__ = ["monitor_table", "opponent_colour"]

_MONITOR_LUMINANCE = (0.258828434, 0.607435915, 0.133735650)
"""Of the channels of the paper's monitor, for the cones' sensitivities that the paper takes."""
_SRGB_LUMINANCE = (0.2126, 0.7152, 0.0722)
_BINS = 1024


@partial(
    Degradation,
    name="opponent-colour",
    unit="0: true colours, 1: opponent colours",
    levels=PUBLISHED["opponent-colour"].levels,
    references=PUBLISHED["opponent-colour"].references,
    neutral=0.0,
    reads="colour",
    channels=(3,),
    variants={
        "monitor": "linear light by the table that the paper measured on its monitor, to whose 256 "
        "values a channel images are rounded",
        "srgb": "linear light, and luminance, as the standard sRGB defines them, without rounding",
    },
    working_planes=12,
)
def opponent_colour(images: Tensor, level: float, *, variant: str) -> Tensor:
    """Each colour becomes its opposite of the same luminance; grey stays grey.

    What the monitor cannot show is clipped in linear light, channel by channel.
    """
    if not level:
        return images
    return _by_table(images) if variant == "monitor" else _by_srgb(images)


@lru_cache(maxsize=1)
def monitor_table() -> Tensor:
    """Relative luminance of the paper's monitor for the values 0…255, float64 [256], increasing."""
    file = importlib.resources.files("robench.degradations") / "monitor.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    return torch.tensor(
        [float(line) for line in lines if not line.startswith("#")], dtype=torch.float64
    )


def _by_table(images: Tensor) -> Tensor:
    table = monitor_table().to(images.device)
    codes = images.mul(255.0).round_().int()
    light = table.index_select(0, codes.flatten()).view(images.shape)
    nearest = _nearest_entry(_mirrored(light, _MONITOR_LUMINANCE).flatten())
    # Divided in float64, so that every value is the one nearest to k / 255 in the images' type.
    values = (torch.arange(256, device=images.device).double() / 255.0).to(images)
    return values.index_select(0, nearest).view(images.shape)


def _by_srgb(images: Tensor) -> Tensor:
    light = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)
    out = _mirrored(light, _SRGB_LUMINANCE).clamp_(0.0, 1.0)
    encoded = 1.055 * out.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(out <= 0.0031308, out * 12.92, encoded).clamp_(0.0, 1.0)


def _mirrored(light: Tensor, weights: tuple[float, float, float]) -> Tensor:
    red, green, blue = light.unbind(1)
    luminance = (red * weights[0]).add_(green * weights[1]).add_(blue * weights[2])
    return luminance.mul_(2.0).unsqueeze(1) - light


def _nearest_entry(light: Tensor) -> Tensor:
    """The position of the nearest entry of the table, the lower one of two; int32 [N].

    A first guess by the square root, in which the table is almost even, leaves two candidates.

    Args:
        light: float64 [N]; the ends of the table are nearest to what lies outside.
    """
    first, midpoints = _search_tables(light.device)
    bins = light.float().clamp_(0.0, 1.0).sqrt_().mul_(_BINS).int()
    guess = first.index_select(0, bins)
    return guess.add_(light > midpoints.index_select(0, guess))


@lru_cache(maxsize=4)
def _search_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """For each bin of the square root its lowest entry, and the midpoints of neighbours."""
    table = monitor_table()
    midpoints = (table[1:] + table[:-1]) / 2
    # A little below each bin, so that rounding into the next one above does no harm.
    edges = (torch.arange(_BINS + 1).double() - 1e-3).clamp_min(0.0) / _BINS
    first = torch.bucketize(edges, midpoints.sqrt()).int()
    # Nothing lies above the last entry.
    midpoints = torch.cat([midpoints, torch.full((1,), torch.inf, dtype=torch.float64)])
    return first.to(device), midpoints.to(device)

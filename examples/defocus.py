"""Blur by a lens that is out of focus: each pixel becomes the mean over a disk.

The point-spread function of a defocused thin lens with a round aperture, in geometrical optics, is
a uniform disk (the circle of confusion). Pixels at the rim of the disk count by the share of them
that lies inside, estimated on a grid of sub-pixels; beyond the image its border is repeated.
"""

from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from robench.degradations.base import Degradation

__all__ = ["defocus", "disk"]

_SUBPIXELS = 16
"""Points along each side of a pixel at which it is asked whether it lies inside the disk."""


@partial(
    Degradation,
    name="defocus",
    unit="radius of the circle of confusion, in pixels",
    levels=(0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0),
    neutral=0.0,
    references={0.0: "original"},
    bounds=(0.0, 16.0),
    reads="colour",
)
def defocus(pixels: Tensor, level: float) -> Tensor:
    """The mean over a disk around each pixel: blur by a lens that is out of focus."""
    weights = disk(level)
    reach = len(weights) // 2
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels, (reach, reach, reach, reach), mode="replicate")
    blurred = torch.zeros_like(pixels)
    # A sum of shifted images is the same for an image alone and in any batch, to the last bit.
    for row, line in enumerate(weights):
        for column, weight in enumerate(line):
            if weight:
                blurred += weight * padded[..., row : row + height, column : column + width]
    return blurred.clamp(0, 1)


@lru_cache(maxsize=64)
def disk(radius: float) -> tuple[tuple[float, ...], ...]:
    """Weights of a disk around the middle pixel; their sum is 1."""
    reach = int(radius + 0.5)
    side = (2 * reach + 1) * _SUBPIXELS
    at = (torch.arange(side, dtype=torch.float64) + 0.5) / _SUBPIXELS - (reach + 0.5)
    inside = (at[:, None] ** 2 + at[None, :] ** 2 <= radius**2).double()  # [side, side]
    share = F.avg_pool2d(inside[None, None], _SUBPIXELS)[0, 0]  # [2 * reach + 1] twice
    if not share.any():  # smaller than the gap between two points
        share[reach, reach] = 1.0
    rows: list[list[float]] = (share / share.sum()).tolist()
    return tuple(map(tuple, rows))

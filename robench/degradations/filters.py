"""Gaussian filters in space (Geirhos et al. 2018, arXiv 1808.08750).

The filter is a product with a banded matrix along each axis, block of rows by block of rows: exact
for every standard deviation, and quick both for narrow kernels, where the blocks skip what lies
outside the band, and for kernels wider than the image, whose cost no longer grows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from robench.degradations.base import Degradation
from robench.degradations.levels import PUBLISHED

__all__ = ["gaussian_filter", "high_pass", "low_pass"]

_BORDER = 0.4423
"""Mean grey of the images of the paper: what lies outside an image, and the mean of a high-pass."""

_PUBLISHED_SIZE = 224
_TRUNCATE = 4.0
_BLOCK = 32
# In rows of 64 bytes or a multiple, a matrix product sums in the same order wherever the image
# lies in its batch; otherwise the last bit would depend on the batch.
_ALIGNMENT = 16

_PIXELS = "in pixels of the image at hand"
_SCALED = "in pixels of an image whose shorter side has 224, scaled to the one at hand"


@partial(
    Degradation,
    name="low-pass",
    unit="standard deviation of the Gaussian kernel, in pixels",
    levels=PUBLISHED["low-pass"].levels,
    neutral=0.0,
    bounds=(0.0, 1000.0),
    variants={"scaled": _SCALED, "pixels": _PIXELS},
    smallest=8,
)
def low_pass(planes: Tensor, level: float, *, variant: str) -> Tensor:
    """The grey image blurred by a Gaussian kernel; level 0 is the grey image.

    What a blur hides is set by its width relative to the image, so the published levels are
    scaled by default: 40 pixels of 224 are 5.7 pixels of 32, where 40 would leave nothing to see.
    """
    return gaussian_filter(planes, _sigma(planes, level, variant)).clamp_(0.0, 1.0)


@partial(
    Degradation,
    name="high-pass",
    unit="standard deviation of the Gaussian kernel whose low-pass is subtracted, in pixels",
    levels=PUBLISHED["high-pass"].levels,
    neutral=math.inf,
    bounds=(0.0, 1000.0),
    variants={"pixels": _PIXELS, "scaled": _SCALED},
    smallest=8,
)
def high_pass(planes: Tensor, level: float, *, variant: str) -> Tensor:
    """The grey image less its low-pass, at a mean of 0.4423; level infinity is the grey image.

    The smaller the level, the less is left. The published levels go down to the finest detail
    that a grid of pixels can hold, so by default they count pixels of the image at hand: scaled
    to 32 pixels, all but the mildest would leave a blank image.
    """
    if math.isinf(level):
        return planes
    detail = planes - gaussian_filter(planes, _sigma(planes, level, variant))
    return detail.sub_(detail.mean((-2, -1), keepdim=True)).add_(_BORDER).clamp_(0.0, 1.0)


def _sigma(planes: Tensor, level: float, variant: str) -> float:
    if variant == "pixels":
        return level
    return level * min(planes.shape[-2:]) / _PUBLISHED_SIZE


def gaussian_filter(planes: Tensor, sigma: float) -> Tensor:
    """Convolve with a Gaussian kernel, cut at four standard deviations and summing to 1.

    Along each axis in turn, pixels outside the image count as 0.4423: the same as
    ``scipy.ndimage.gaussian_filter(plane, sigma, mode="constant", cval=0.4423)``.

    Args:
        planes: [N, H, W].
        sigma: standard deviation in pixels, >= 0.

    Returns:
        A new tensor [N, H, W], exact to rounding (on CUDA unless the caller has allowed TF32).
    """
    if sigma == 0.0:
        return planes.clone()
    height, width = planes.shape[-2:]
    radius = int(_TRUNCATE * sigma + 0.5)
    # With the border's colour subtracted, what lies outside is zero in both passes.
    centred = F.pad(planes - _BORDER, (0, -width % _ALIGNMENT, 0, -height % _ALIGNMENT))
    across = _matrix(planes, width, sigma, radius)
    down = across if height == width else _matrix(planes, height, sigma, radius)
    lines = centred.reshape(-1, centred.shape[-1])  # one long matrix is quicker than a batch
    half = [lines[:, band] @ across[band, block] for block, band in _blocks(across, radius)]
    rows = torch.cat(half, dim=1).view_as(centred)
    both = [
        torch.bmm(down[block, band].expand(len(rows), -1, -1), rows[:, band])
        for block, band in _blocks(down, radius)
    ]
    return torch.cat(both, dim=1)[:, :height, :width].add_(_BORDER)


def _blocks(matrix: Tensor, radius: int) -> Iterator[tuple[slice, slice]]:
    """Groups of neighbouring pixels, each with the pixels that its kernels reach."""
    for start in range(0, len(matrix), _BLOCK):
        stop = start + _BLOCK
        yield slice(start, stop), slice(max(0, start - radius), stop + radius)


def _matrix(planes: Tensor, size: int, sigma: float, radius: int) -> Tensor:
    """The filter along one axis as a symmetric banded matrix, padded with zeros."""
    distance = torch.arange(max(size, radius + 1), dtype=torch.float64, device=planes.device)
    weight = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance <= radius)
    weight /= 2.0 * weight.sum() - weight[0]
    right = weight[:size].to(planes.dtype)
    matrix = torch.cat([right.flip(0), right[1:]]).unfold(0, size, 1).flip(0)
    return F.pad(matrix, (0, -size % _ALIGNMENT, 0, -size % _ALIGNMENT))

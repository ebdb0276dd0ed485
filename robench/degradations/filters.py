"""Gaussian filters in space (Geirhos et al. 2018, arXiv 1808.08750).

The filter is a product with a banded matrix along each axis, block of rows by block of rows: exact
for every standard deviation, and quick both for narrow kernels, where the blocks skip what lies
outside the band, and for kernels wider than the image, whose cost no longer grows. Down the columns
a narrow kernel in float32 is quicker still as a convolution whose channels are the columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial

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
_NARROW = 2.0 / 7.0
"""Of a kernel: the most that its radius is of the height for the convolution to be the quicker."""
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
    references=PUBLISHED["low-pass"].references,
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
    references=PUBLISHED["high-pass"].references,
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
    across = _Kernel.of(width, sigma, planes)
    down = across if height == width else _Kernel.of(height, sigma, planes)
    # With the border's colour subtracted, what lies outside is zero in both passes.
    centred = planes - _BORDER
    if height % _ALIGNMENT or width % _ALIGNMENT:
        centred = F.pad(centred, (0, -width % _ALIGNMENT, 0, -height % _ALIGNMENT))
    return down.down(across.across(centred))[:, :height, :width].add_(_BORDER)


@dataclass(frozen=True)
class _Kernel:
    """A Gaussian kernel for one axis, as the products and the convolution take it.

    Args:
        bands: blocks of neighbouring pixels, each with the pixels that its kernels reach and the
            matrix from these to those.
        taps: the whole kernel, where the convolution is the quicker.
    """

    bands: tuple[tuple[slice, Tensor], ...]
    taps: Tensor | None

    @staticmethod
    def of(size: int, sigma: float, like: Tensor) -> _Kernel:
        return _kernel(size, sigma, like.dtype, like.device)

    def across(self, planes: Tensor) -> Tensor:
        lines = planes.reshape(-1, planes.shape[-1])  # one long matrix is quicker than a batch
        parts = [lines[:, band] @ matrix for band, matrix in self.bands]
        return torch.cat(parts, dim=1).view_as(planes)

    def down(self, planes: Tensor) -> Tensor:
        if self.taps is not None:
            return _convolved_down(planes, self.taps)
        parts = [
            torch.bmm(matrix.T.expand(len(planes), -1, -1), planes[:, band])
            for band, matrix in self.bands
        ]
        return torch.cat(parts, dim=1)


@lru_cache(maxsize=16)
def _kernel(size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> _Kernel:
    radius = int(_TRUNCATE * sigma + 0.5)
    distance = torch.arange(max(size, radius + 1), dtype=torch.float64, device=device)
    weights = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance <= radius)
    weights = (weights / (2.0 * weights.sum() - weights[0])).to(dtype)
    right = weights[:size]
    matrix = torch.cat([right.flip(0), right[1:]]).unfold(0, size, 1).flip(0)
    matrix = F.pad(matrix, (0, -size % _ALIGNMENT, 0, -size % _ALIGNMENT))
    bands = []
    for start in range(0, len(matrix), _BLOCK):
        band = slice(max(0, start - radius), start + _BLOCK + radius)
        bands.append((band, matrix[band, start : start + _BLOCK].contiguous()))
    is_narrow = radius <= _NARROW * size and dtype == torch.float32 and device.type == "cpu"
    taps = torch.cat([weights[: radius + 1].flip(0), weights[1 : radius + 1]])
    return _Kernel(tuple(bands), taps if is_narrow else None)


def _convolved_down(planes: Tensor, taps: Tensor) -> Tensor:
    count, height, width = planes.shape
    # Columns as channels are what a depthwise convolution finds side by side in memory.
    columns = planes.view(count, 1, height, width).permute(0, 3, 1, 2)
    kernel = taps.expand(width, 1, 1, -1)
    convolved = F.conv2d(columns, kernel, padding=(0, len(taps) // 2), groups=width)
    return convolved.permute(0, 2, 3, 1).reshape(count, height, width)

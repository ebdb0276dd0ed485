"""Blur by motion: of the camera across the image, and towards it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.degradations.random import Noise

__all__ = ["blurred_along", "enlargement", "motion_blur", "motion_kernel", "zoom_blur"]

_STEEPEST = 45.0
"""Angle of the motion, in degrees on either side of the horizontal."""


def motion_blur(images: Tensor, constant: tuple[float, float], noise: Noise) -> Tensor:
    """The image drawn out to one side, at an angle of up to 45 degrees that is the image's own."""
    radius, sigma = constant
    angles = noise.uniform().double().mul(2 * _STEEPEST).sub(_STEEPEST)
    return blurred_along(images, radius, sigma, angles)


def motion_kernel(radius: float, sigma: float) -> Tensor:
    """Weights of a pixel and of those ahead of it: one half of a Gaussian, cut off, summing to 1.

    Args:
        radius: the kernel has 2 * radius + 1 weights, radius rounded up.
        sigma: standard deviation of the whole Gaussian, in pixels.

    Returns:
        float64 [weights], from the pixel itself to the one farthest away.
    """
    at = torch.arange(2 * math.ceil(radius) + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (at / sigma) ** 2)
    return weights / weights.sum()


def blurred_along(images: Tensor, radius: float, sigma: float, angles: Tensor) -> Tensor:
    """Each pixel becomes a mean of those ahead of it along a line, as in ImageMagick's motion blur.

    The line passes through the nearest pixels; beyond the border the last pixel is repeated.

    Args:
        images: float64 [N, C, H, W].
        radius: see `motion_kernel`.
        sigma: likewise.
        angles: float64 [N], in degrees: 0 looks to the right, 90 down.
    """
    count, _, height, width = images.shape
    weights = motion_kernel(radius, sigma)
    steps = torch.arange(len(weights), dtype=torch.float64, device=images.device)
    radians = torch.deg2rad(angles)[:, None]
    down = (steps * radians.sin() - 0.5).ceil().long()  # [N, weights], rounded half down
    across = (steps * radians.cos() - 0.5).ceil().long()
    each = torch.arange(count, device=images.device)[:, None, None]
    pixels = images.permute(0, 2, 3, 1)
    total = torch.zeros_like(pixels)
    for place, weight in enumerate(weights.tolist()):
        rows = torch.arange(height, device=images.device) + down[:, place, None]
        columns = torch.arange(width, device=images.device) + across[:, place, None]
        rows, columns = rows.clamp_(0, height - 1), columns.clamp_(0, width - 1)
        total.add_(pixels[each, rows[:, :, None], columns[:, None, :]], alpha=weight)
    return total.permute(0, 3, 1, 2)


def zoom_blur(images: Tensor, furthest: float) -> Tensor:
    """The mean of the image and of enlargements of its middle by 1, 1.01, … below `furthest`."""
    factors = np.arange(1, furthest, 0.01)
    total = images.clone()
    for factor in factors:
        down, across = (
            torch.from_numpy(enlargement(size, float(factor))).to(images.device)
            for size in images.shape[2:]
        )
        total += down @ images @ across.T
    return total / (len(factors) + 1)


@lru_cache(maxsize=64)
def enlargement(size: int, factor: float) -> NDArray[np.float64]:
    """The matrix that takes the middle of a line, enlarges it linearly, and cuts it to its size.

    Args:
        size: of the line, in pixels.
        factor: at least 1.

    Returns:
        float64 [size, size].
    """
    kept = math.ceil(size / factor)
    start = (size - kept) // 2
    middle = np.eye(size)[start : start + kept]
    larger = ndimage.zoom(middle, (factor, 1), order=1)
    trim = (len(larger) - size) // 2
    return np.ascontiguousarray(larger[trim : trim + size])

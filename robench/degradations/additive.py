"""Gaussian and speckle noise, as networks are trained on them; not among the published twelve.

The levels are the severities of ImageNet-C (Hendrycks and Dietterich 2019, arXiv 1903.12261), on
images in colour. Rusak et al. 2020 (arXiv 2001.06057) train on them, and on Gaussian noise of 0.5.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from robench.degradations.base import Degradation
from robench.degradations.random import Noise

__all__ = ["gaussian_noise", "speckle_noise"]


@partial(
    Degradation,
    name="gaussian-noise",
    unit="standard deviation",
    levels=(0.08, 0.12, 0.18, 0.26, 0.38),
    references={0.0: "original"},
    neutral=0.0,
    bounds=(0.0, 1.0),
    reads="colour",
)
def gaussian_noise(images: Tensor, level: float, *, noise: Noise) -> Tensor:
    """Additive normal noise, drawn for each value of each channel; the sum is clipped to [0, 1]."""
    drawn = noise.normal(*images.shape[1:]).to(images.dtype)
    return drawn.mul_(level).add_(images).clamp_(0.0, 1.0)


@partial(
    Degradation,
    name="speckle-noise",
    unit="standard deviation, as a fraction of the value",
    levels=(0.15, 0.2, 0.35, 0.45, 0.6),
    references={0.0: "original"},
    neutral=0.0,
    bounds=(0.0, 1.0),
    reads="colour",
)
def speckle_noise(images: Tensor, level: float, *, noise: Noise) -> Tensor:
    """Normal noise in proportion to each value, so that black stays black; clipped to [0, 1]."""
    drawn = noise.normal(*images.shape[1:]).to(images.dtype)
    return drawn.mul_(level).add_(1.0).mul_(images).clamp_(0.0, 1.0)

"""Noise on images of 30 % contrast (Geirhos et al. 2018, arXiv 1808.08750)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from robench.degradations.base import Degradation
from robench.degradations.colour import contrast
from robench.degradations.levels import PUBLISHED
from robench.degradations.random import Noise

__all__ = ["salt_and_pepper", "uniform_noise"]

_CONTRAST = 0.3


@partial(
    Degradation,
    name="uniform-noise",
    unit="half the width of the noise",
    levels=PUBLISHED["uniform-noise"].levels,
    references=PUBLISHED["uniform-noise"].references,
    neutral=0.0,
    bounds=(0.0, 1.0),
)
def uniform_noise(planes: Tensor, level: float, *, noise: Noise) -> Tensor:
    """Additive noise, uniform in [-level, level), on the grey image at 30 % contrast.

    One number for each pixel, shared by the channels; the sum is clipped to [0, 1]. Level 0 is the
    image at 30 % contrast, not the clean one.
    """
    numbers = noise.uniform(*planes.shape[1:]).to(planes.dtype)
    shift = numbers.mul_(2.0).sub_(1.0).mul_(level)
    return shift.add_(contrast.function(planes, _CONTRAST)).clamp_(0.0, 1.0)


@partial(
    Degradation,
    name="salt-and-pepper",
    unit="fraction of the pixels that are replaced",
    levels=PUBLISHED["salt-and-pepper"].levels,
    references=PUBLISHED["salt-and-pepper"].references,
    neutral=0.0,
    bounds=(0.0, 1.0),
)
def salt_and_pepper(planes: Tensor, level: float, *, noise: Noise) -> Tensor:
    """Pixels replaced by black or white, on the grey image at 30 % contrast.

    Half of the fraction `level` becomes black, half white, the same in all channels. Level 0 is
    the image at 30 % contrast, not the clean one.
    """
    numbers = noise.uniform(*planes.shape[1:])
    # Comparing in place gives 0 and 1 as floats, several times as fast as filling by a mask.
    salt = numbers.clone().ge_(1 - level / 2)
    not_pepper = numbers.ge_(level / 2)
    return torch.maximum(contrast.function(planes, _CONTRAST).mul_(not_pepper), salt)

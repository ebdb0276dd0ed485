"""Rotation by quarter turns (Geirhos et al. 2018, arXiv 1808.08750)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from robench.degradations.base import Degradation
from robench.degradations.levels import PUBLISHED
from robench.errors import InputError

__all__ = ["rotation"]


@partial(
    Degradation,
    name="rotation",
    unit="angle in degrees, counter-clockwise",
    levels=PUBLISHED["rotation"].levels,
    references=PUBLISHED["rotation"].references,
    neutral=0.0,
    square=True,
)
def rotation(planes: Tensor, level: float) -> Tensor:
    """The grey image turned counter-clockwise by 0, 90, 180 or 270 degrees, without loss.

    Raises:
        InputError: a turn by 90 or 270 degrees of images that are not square, which would change
            their shape.
    """
    height, width = planes.shape[-2:]
    quarters = round(level / 90)
    if quarters % 2 and height != width:
        raise InputError(
            f"images of {height} x {width} pixels cannot be turned by {level:g} degrees",
            where="degradation 'rotation'",
            allowed="square images; 0 or 180 degrees for others",
            hint="crop the images to a square",
        )
    return torch.rot90(planes, quarters, dims=(-2, -1))

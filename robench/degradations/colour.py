"""Greyscale and contrast (Geirhos et al. 2018, arXiv 1808.08750)."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from robench.degradations.base import Degradation, to_grey
from robench.degradations.levels import PUBLISHED

__all__ = ["contrast", "greyscale"]


@partial(
    Degradation,
    name="greyscale",
    unit="0: in colour, 1: grey",
    levels=PUBLISHED["greyscale"].levels,
    references=PUBLISHED["greyscale"].references,
    neutral=0.0,
    reads="colour",
)
def greyscale(images: Tensor, level: float) -> Tensor:
    """Colour taken away: each pixel becomes its grey value, 0.2125 R + 0.7154 G + 0.0721 B.

    Images of one channel stay as they are.
    """
    return to_grey(images).unsqueeze(1) if level else images


@partial(
    Degradation,
    name="contrast",
    unit="fraction of the contrast that is left",
    levels=PUBLISHED["contrast"].levels,
    references=PUBLISHED["contrast"].references,
    neutral=1.0,
    bounds=(0.0, 1.0),
)
def contrast(planes: Tensor, level: float) -> Tensor:
    """Contrast reduced towards mid-grey: (1 - level) / 2 + level times the grey image.

    The grey is 0.5, not the mean of the image.
    """
    return (planes * level).add_((1 - level) / 2)

"""On what scale distances are told: it has to be fixed for a data set, or figures do not compare.

Areas are taken up to a radius that leaves hardly any image untouched, and the accuracy is told at
the radii that others use. Both are our choice, by kind of input: on MNIST radii of 1, 2 and 3, up
to 3; on CIFAR-10 of 0.25, 0.5 (that of RobustBench, Croce et al. 2021, arXiv 2010.09670) and 1, up
to 1. Other grey images are measured as MNIST is, other colour images and tables as CIFAR-10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["STEPS", "Scale", "curve_radii", "scale_of", "scale_of_shape"]

STEPS = 24
"""Of a curve: it meets the radii of both scales."""


@dataclass(frozen=True)
class Scale:
    """Distances that figures of a data set refer to.

    Attributes:
        area_limit: up to which areas under the curve of robust accuracy are taken.
        radii: at which the robust accuracy is told.
    """

    area_limit: float
    radii: tuple[float, ...]


_IMAGE = 4
"""Dimensions of images."""
_GREY = Scale(area_limit=3.0, radii=(1.0, 2.0, 3.0))
_OTHERS = Scale(area_limit=1.0, radii=(0.25, 0.5, 1.0))


def scale_of(data: Data) -> Scale:
    """The scale of a data set."""
    is_image = data.kind == "image"
    return scale_of_shape(tuple(data.train.images.shape)) if is_image else _OTHERS


def scale_of_shape(shape: tuple[int, ...]) -> Scale:
    """The scale of images of a shape, [N, C, H, W], or of tables, [N, F]."""
    return _GREY if len(shape) == _IMAGE and shape[1] == 1 else _OTHERS


def curve_radii(limit: float, radii: tuple[float, ...]) -> tuple[float, ...]:
    """Where the curve of robust accuracy is told: in even steps from 0 to `limit`, and at `radii`.

    Args:
        limit: the largest of the even steps.
        radii: further ones.
    """
    even = (limit * step / STEPS for step in range(STEPS + 1))
    return tuple(sorted({round(radius, 6) for radius in (*even, *radii)}))

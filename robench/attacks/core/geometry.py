"""Unit directions, projections onto balls, and extents of the box, per image."""

from __future__ import annotations

import torch
from torch import Tensor

from robench.attacks.core.oracle import Oracle, lengths, per_row

__all__ = ["distance_to_plane", "into_ball", "radius_of_box", "reach_of_box", "unit_direction"]


def unit_direction(gradient: Tensor, rows: Tensor, oracle: Oracle) -> Tensor:
    """The gradient at unit length, and a random direction where it is zero, [m, ...].

    Args:
        gradient: finite, [m, ...].
        rows: int64 [m], the row in `oracle.images` of each gradient.
        oracle: draws the random directions.
    """
    length = lengths(gradient)
    direction = gradient / per_row(torch.where(length > 0, length, 1.0), gradient)
    (flat,) = (length == 0).nonzero(as_tuple=True)
    if len(flat):
        direction[flat] = oracle.noise(rows[flat])
    return direction


def distance_to_plane(values: Tensor, gradient: Tensor) -> Tensor:
    """Distance at which the linearised function vanishes, [m]; 1 where that is zero or not finite.

    Args:
        values: of the function, [m].
        gradient: of the function, finite, [m, ...].
    """
    distance = values.abs() / lengths(gradient)
    return torch.where(distance.isfinite() & (distance > 0), distance, 1.0)


def into_ball(points: Tensor, images: Tensor, radius: Tensor, oracle: Oracle) -> Tensor:
    """Project points onto l2 balls around the images, then clip them to the box, [m, ...].

    Args:
        points: float32 [m, ...].
        images: the centres, [m, ...].
        radius: [m], from 0 to infinity.
        oracle: knows whether there is a box.
    """
    moved = points - images
    length = lengths(moved)
    scale = torch.where(length > radius, radius / length, 1.0)
    return oracle.clip(images + per_row(scale, moved) * moved)


def radius_of_box(oracle: Oracle) -> Tensor:
    """Radius of the ball around each image that contains the box, [n]; infinite without a box."""
    if not oracle.box:
        return torch.full_like(oracle.best_distance, torch.inf)
    return reach_of_box(oracle)


def reach_of_box(oracle: Oracle) -> Tensor:
    """Distance of the farthest corner of the cube [0, 1] from each image, [n].

    It also limits searches without a box, which have to end somewhere.
    """
    return lengths(torch.maximum(oracle.images, 1 - oracle.images))

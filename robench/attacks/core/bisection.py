"""Bisection on the segment from an image to an adversarial: gradient-free, never longer."""

from __future__ import annotations

import torch
from torch import Tensor

from robench.attacks.core.oracle import Oracle, per_row

__all__ = ["bisect_ray"]


def bisect_ray(oracle: Oracle, points: Tensor, rows: Tensor, *, steps: int = 12) -> Tensor:
    """Move adversarials towards their images for as long as they stay adversarial.

    Twelve halvings locate the boundary to 1/4096 of the distance. More would come within the
    rounding error of float32, where the batch size decides whether a point is adversarial.

    Args:
        oracle: answers for the images.
        points: adversarials, float32 [m, ...]. A point that is not adversarial is returned
            unchanged unless the segment to it crosses another class.
        rows: int64 [m], the row in `oracle.images` of each point.
        steps: halvings, one forward pass each.

    Returns:
        Points on the segments, none of them farther from its image than before, [m, ...].
    """
    images = oracle.images[rows]
    # Fractions of the segment, [m]: `far` is adversarial, `near` is not.
    near = points.new_zeros(len(points))
    far = torch.ones_like(near)
    best = points.clone()
    for _ in range(steps):
        middle = (near + far) / 2
        trial = oracle.clip(torch.lerp(images, points, per_row(middle, points)))
        adversarial = oracle.is_adversarial(oracle.query(trial, rows), rows)
        best = torch.where(per_row(adversarial, points), trial, best)
        far = torch.where(adversarial, middle, far)
        near = torch.where(adversarial, near, middle)
    return best

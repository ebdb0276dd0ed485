"""FAB: the image itself, projected onto the boundary as it looks from the last point."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.attacks.core.targets import Targets
from robench.spec.base import Frozen

__all__ = ["FAB", "projected"]

_NEWTON_STEPS = 6
"""Of the multiplier of a projection into the box. None goes too far, for the more pixels lie on the
box, the less the function falls; what is left to go after some steps hardly counts."""
_FARTHEST = 1e6
"""Largest multiplier, where the plane misses the box."""


class FAB(Attack):
    """Project the image onto the linearised boundary, within the box, from ever better points.

    Croce, Hein 2020, *Minimally distorted adversarial examples with a fast adaptive boundary
    attack* (arXiv 1907.02044). The boundary towards each of the likeliest other classes is
    linearised where the search stands, and the next point lies between there and the point of that
    plane and the box which is nearest to the image. Where the boundary is nearly flat, few steps
    find it, with any number of pixels on the box: in an adversarially trained network of 64 pixels
    8 steps towards 9 classes, 165 passes, came as near as 100 steps of DDN, 1,800 passes. Where it
    is bent, as in networks trained on MNIST, most searches end far off.

    Three things are ours. The paper goes a tenth of the way to the projection of the image at most,
    and the rest towards that of the last point; here the search goes all the way at first, and
    `last_share` of it in the end. It takes the rival of a target to be the largest other logit, not
    that of the image's class. And the paper pulls adversarials back towards the image; here the
    bisection that follows does. A point without a gradient stays where it is.
    """

    name = "fab"

    class Params(Frozen):
        """How long, towards what, and how boldly."""

        steps: Annotated[int, Field(ge=1)] = 8
        """Projections, for each target."""
        targets: Annotated[int, Field(ge=0)] = 9
        """0 leaves the own class in any direction; k > 0 crosses the boundary towards each of the k
        likeliest other classes."""
        first_share: Annotated[float, Field(gt=0, le=1)] = 1.0
        """Share of the way to the projected image that the first step goes."""
        last_share: Annotated[float, Field(gt=0, le=1)] = 0.3
        """The same of the last step; in between it changes evenly."""
        overshoot: Annotated[float, Field(ge=0)] = 0.01
        """Each projection is pushed beyond the plane by this fraction of its distance."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """All targets of an image at once, as separate points of the same row."""
        targets = Targets.of(oracle, self.params.targets)
        rows, images = targets.rows, oracle.images[targets.rows]
        points = oracle.best[rows]  # the start, where nothing is found yet
        for step in range(self.params.steps):
            logits, gradient = oracle.gradient(points, rows, targets.margin)
            plane = projected(images, points, targets.margin(logits), gradient, box=oracle.box)
            beyond = oracle.clip(images + (1 + self.params.overshoot) * (plane - images))
            points = torch.where(
                per_row(lengths(gradient) > 0, points),
                torch.lerp(points, beyond, self._share(step)),
                points,
            )
        oracle.query(points, rows)
        return oracle.best

    def _share(self, step: int) -> float:
        first, last = self.params.first_share, self.params.last_share
        return first + (last - first) * step / max(self.params.steps - 1, 1)


def projected(
    images: Tensor, points: Tensor, values: Tensor, gradient: Tensor, *, box: bool
) -> Tensor:
    """The nearest point to each image at which a linearised function vanishes, [m, ...].

    In the box that is ``clip(image - λ·gradient)``, with the λ at which the function vanishes
    there. It is piecewise linear in λ and monotone, so that Newton's method finds λ in few steps.

    Args:
        images: [m, ...].
        points: where the function is linearised, [m, ...].
        values: of the function there, [m].
        gradient: of the function there, [m, ...]; where it is zero, the image is returned.
        box: whether the point must lie in [0, 1]. Where the plane misses the box, the point goes as
            far towards it as pixels were free to.
    """
    image, length = images.flatten(1), lengths(gradient)
    slope = gradient.flatten(1) / torch.where(length > 0, length, 1.0)[:, None]
    # The linearised function at the image, in lengths of the gradient.
    offset = torch.where(length > 0, values / length, 0.0)
    offset = offset + ((image - points.flatten(1)) * slope).sum(dim=1)
    multiplier = offset
    for _ in range(_NEWTON_STEPS if box else 0):
        free = image - multiplier[:, None] * slope
        inside = free.clamp(0, 1)
        residual = offset + ((inside - image) * slope).sum(dim=1)
        descent = (slope.square() * (inside == free)).sum(dim=1)
        stepped = (multiplier + residual / descent).clamp(-_FARTHEST, _FARTHEST)
        multiplier = torch.where(descent > 0, stepped, multiplier)
    moved = image - multiplier[:, None] * slope
    return (moved.clamp(0, 1) if box else moved).view_as(images)

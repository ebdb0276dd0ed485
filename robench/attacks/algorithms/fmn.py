"""FMN: minimum-norm attack by projected gradient steps with an adaptive radius."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.algorithms.nearest import nearest_of_other_classes
from robench.attacks.core.base import Attack
from robench.attacks.core.bisection import bisect_ray
from robench.attacks.core.geometry import (
    distance_to_plane,
    into_ball,
    radius_of_box,
    unit_direction,
)
from robench.attacks.core.oracle import Oracle, lengths
from robench.attacks.core.targets import Targets
from robench.spec.base import Frozen

__all__ = ["FMN"]

_LAST_STEP, _LAST_GAMMA = 0.01, 0.001
"""Final step length as a fraction of the first one, and final gamma."""
_HALVINGS = 10
"""Number of halvings on the ray to an image of another class, for ``start="adversarial"``."""


class FMN(Attack):
    """Step along the gradient, and project onto a ball that shrinks at adversarials.

    Pintor, Roli, Brendel, Biggio 2021, *Fast Minimum-norm Adversarial Attacks through Adaptive
    Norm Constraints* (arXiv 2102.12827). Until an adversarial is found, the paper sets the radius
    to the distance of the linearised boundary. In the box this can stall: where many pixels are at
    0 or 1, most of each step is clipped away, and the next estimate is the same. Here the radius is
    the larger of that estimate and the old radius times 1 + gamma. Where the gradient is zero, the
    direction is random.
    """

    name = "fmn"

    class Params(Frozen):
        """Number of steps, step sizes, targets and starting point."""

        steps: Annotated[int, Field(ge=1)] = 100
        """Forward and backward passes, for each target."""
        step_length: Annotated[float, Field(gt=0)] = 1.0
        """Initial step length; a cosine schedule reduces it to a hundredth."""
        gamma: Annotated[float, Field(gt=0, lt=1)] = 0.05
        """The radius is first multiplied by 1 - gamma or 1 + gamma; gamma decays to 0.001."""
        targets: Annotated[int, Field(ge=0)] = 0
        """0 leaves the own class in any direction; k > 0 walks towards each of the k likeliest
        other classes, and any other class counts."""
        start: Literal["image", "adversarial"] = "image"
        """``"adversarial"`` begins where the ray to the nearest image of another class crosses the
        boundary, for eleven forward passes more."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Optimise all targets of an image in parallel, as separate points of the same row."""
        targets = Targets.of(oracle, self.params.targets)
        rows, images = targets.rows, oracle.images[targets.rows]
        widest = radius_of_box(oracle)[rows]
        if self.params.start == "adversarial":
            _find_starts(oracle)
        points = oracle.best[rows]  # the start, where nothing is found yet
        radius = lengths(points - images)
        for step in range(self.params.steps):
            logits, gradient = oracle.gradient(points, rows, lambda logits: -targets.margin(logits))
            gamma = self._decayed(step, self.params.gamma, _LAST_GAMMA)
            # Radius at adversarials, [m]: smaller, and at most the best distance of the image.
            closest = oracle.best_distance[rows]
            smaller = torch.minimum(radius * (1 - gamma), closest)
            # Radius elsewhere: larger; before the first adversarial, at least the distance from the
            # image to here plus |margin| / |gradient|, where the linearised margin vanishes.
            larger = radius * (1 + gamma)
            plane = lengths(points - images) + distance_to_plane(targets.margin(logits), gradient)
            larger = torch.where(closest.isfinite(), larger, larger.maximum(plane))
            radius = torch.where(oracle.is_adversarial(logits, rows), smaller, larger)
            radius = radius.minimum(widest)
            # One step along the unit gradient, projected onto the ball and the box, [m, ...].
            length = self._decayed(step, 1.0, _LAST_STEP) * self.params.step_length
            points = points + length * unit_direction(gradient, rows, oracle)
            points = into_ball(points, images, radius, oracle)
        return oracle.best

    def _decayed(self, step: int, first: float, last: float) -> float:
        """Cosine schedule from the first value to the last one."""
        return last + (first - last) * (1 + math.cos(math.pi * step / self.params.steps)) / 2


def _find_starts(oracle: Oracle) -> None:
    """Query the boundary points on the rays to the nearest images of another class."""
    rows, starts = nearest_of_other_classes(oracle, 1)
    if len(rows):
        oracle.query(starts, rows)
        bisect_ray(oracle, starts, rows, steps=_HALVINGS)

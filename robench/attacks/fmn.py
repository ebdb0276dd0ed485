"""FMN: a ball that closes in on the boundary while the gradient walks along it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.base import Attack
from robench.attacks.budget import Oracle, lengths
from robench.attacks.geometry import into_ball, radius_of_box, unit_direction
from robench.attacks.losses import logit_margin
from robench.attacks.nearest import nearest_of_other_classes
from robench.attacks.ray import bisect_ray
from robench.spec.base import Frozen

__all__ = ["FMN"]

_LAST_STEP, _LAST_GAMMA = 0.01, 0.001
"""The step decays to this fraction of the first one, gamma to this value."""
_HALVINGS = 10
"""Of the ray to an image of another class, where the search begins at an adversarial."""


class FMN(Attack):
    """Step along the gradient, and project onto a ball that shrinks when the class changes.

    Pintor, Roli, Brendel, Biggio 2021, *Fast Minimum-norm Adversarial Attacks through Adaptive
    Norm Constraints* (arXiv 2102.12827). While nothing is found the paper sets the radius to where
    the linearised boundary is. In the box that comes to a stop: where many pixels lie on it already,
    most of each step is clipped away, and the same boundary is estimated again. Here the radius
    also grows by the factor 1 + gamma then. Where the gradient is zero, a random direction is taken.
    """

    name = "fmn"

    class Params(Frozen):
        """How long, how fast, and from where."""

        steps: Annotated[int, Field(ge=1)] = 100
        """Forward and backward passes."""
        step_length: Annotated[float, Field(gt=0)] = 1.0
        """First length of a step; it decays to a hundredth, as a cosine."""
        gamma: Annotated[float, Field(gt=0, lt=1)] = 0.05
        """The radius is first multiplied by 1 - gamma or 1 + gamma; gamma decays to 0.001."""
        start: Literal["image", "adversarial"] = "image"
        """``"adversarial"`` begins where the ray to the nearest image of another class crosses the
        boundary, for eleven forward passes more."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """All images at once, one gradient a step."""
        images, rows = oracle.images, oracle.rows
        widest = radius_of_box(oracle)
        if self.params.start == "adversarial":
            _find_starts(oracle)
        found = oracle.best_distance.isfinite()
        points = oracle.best
        radius = torch.where(found, oracle.best_distance, 0.0)
        for step in range(self.params.steps):
            logits, gradient = oracle.gradient(
                points, rows, lambda logits: -logit_margin(logits, oracle.labels)
            )
            gamma = self._decayed(step, self.params.gamma, _LAST_GAMMA)
            smaller = torch.minimum(radius * (1 - gamma), oracle.best_distance)
            larger = radius * (1 + gamma)
            plane = lengths(points - images) + _distance_to_plane(logits, gradient, oracle.labels)
            found = oracle.best_distance.isfinite()
            radius = torch.where(found, larger, torch.maximum(larger, plane))
            radius = torch.where(oracle.is_adversarial(logits, rows), smaller, radius)
            radius = radius.clamp_max(widest)
            length = self._decayed(
                step, self.params.step_length, _LAST_STEP * self.params.step_length
            )
            points = points + length * unit_direction(gradient, rows, oracle)
            points = into_ball(points, images, radius, oracle)
        return oracle.best

    def _decayed(self, step: int, first: float, last: float) -> float:
        """Cosine from the first value to the last one."""
        return last + (first - last) * (1 + math.cos(math.pi * step / self.params.steps)) / 2


def _find_starts(oracle: Oracle) -> None:
    """Let the oracle see where the rays to images of another class cross the boundary."""
    rows, starts = nearest_of_other_classes(oracle, 1)
    if len(rows):
        oracle.query(starts, rows)
        bisect_ray(oracle, starts, rows, steps=_HALVINGS)


def _distance_to_plane(logits: Tensor, gradient: Tensor, labels: Tensor) -> Tensor:
    """How far away the linearised boundary is, [n]; infinite where there is no gradient."""
    length = lengths(gradient)
    return torch.where(length > 0, logit_margin(logits, labels).abs() / length, torch.inf)

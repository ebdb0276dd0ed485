"""APGD with the difference-of-logits ratio, inside a bisection over the radius of the ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.base import Attack
from robench.attacks.budget import Oracle, lengths, per_row
from robench.attacks.losses import difference_of_logits_ratio
from robench.spec.base import Frozen

__all__ = ["APGD"]

_ENOUGH_INCREASES = 0.75
"""The step is halved where fewer of the steps since the last checkpoint than this did better."""


class APGD(Attack):
    """Climb within a ball with steps that adapt, and bisect for the smallest ball that will do.

    Croce, Hein 2020, *Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks* (arXiv 2003.01690). The paper's attack takes the radius as given; here
    each image has its own. The first one is where the linearised loss would vanish; it doubles
    until an adversarial is found, and is bisected between there and the largest that failed from
    then on. An image that is done with a radius is not asked about again until the next one.

    With two classes the loss is the margin over the span of the clean logits, because the ratio
    needs three.
    """

    name = "apgd"

    class Params(Frozen):
        """How long for each radius, and how many radii."""

        steps: Annotated[int, Field(ge=1)] = 20
        """Forward and backward passes at most for each radius."""
        bisections: Annotated[int, Field(ge=1)] = 10
        """How many radii are tried."""
        momentum: Annotated[float, Field(gt=0, le=1)] = 0.75
        """Share of the new direction in each step; the rest is the last step once more."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Each radius for all images at once."""
        loss, gradient = _evaluate(oracle, oracle.images, oracle.rows)
        start = _Climb(oracle.rows, oracle.images, loss, gradient)
        widest = _widest(oracle)
        radius = _radius_of_plane(loss, gradient).minimum(widest)
        low = torch.zeros_like(radius)
        for _ in range(self.params.bisections):
            before = oracle.best_distance
            self._climb(oracle, start, radius)
            failed = oracle.best_distance >= before
            low = torch.where(failed, radius, low)
            high = oracle.best_distance
            radius = torch.where(high.isfinite(), (low + high) / 2, (2 * radius).minimum(widest))
        return oracle.best

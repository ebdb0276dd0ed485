"""DDN: minimum-norm attack that decouples the direction of the perturbation from its norm."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.geometry import radius_of_box, unit_direction
from robench.attacks.core.losses import log_odds
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.attacks.core.targets import Targets
from robench.spec.base import Frozen

__all__ = ["DDN"]


class DDN(Attack):
    """Follow the normalised gradient on a sphere that shrinks at adversarials and grows elsewhere.

    Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger 2019, *Decoupling Direction and Norm*
    (arXiv 1811.09600), without the rounding to 8 bits.

    DDN uses only the direction of the cross-entropy's gradient. The loss here is the log-odds of a
    class: its gradient has the same direction as that of the cross-entropy but does not vanish
    where the softmax saturates (a common cause of gradient masking). Logits are rescaled to a fixed
    range first. Where the gradient is exactly zero, the direction is random.
    """

    name = "ddn"

    class Params(Frozen):
        """Number of steps, targets, and how fast the radius changes."""

        steps: Annotated[int, Field(ge=1)] = 100
        """Forward and backward passes, for each target."""
        targets: Annotated[int, Field(ge=0)] = 0
        """0 leaves the own class in any direction; k > 0 walks towards each of the k likeliest
        other classes, and any other class counts."""
        gamma: Annotated[float, Field(gt=0, lt=1)] = 0.05
        """The radius is multiplied by 1 - gamma or 1 + gamma at each step."""
        initial_norm: Annotated[float, Field(gt=0)] = 1.0
        """Initial radius."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Optimise all targets of an image in parallel, as separate points of the same row."""
        targets = Targets.of(oracle, self.params.targets)
        rows, images = targets.rows, oracle.images[targets.rows]
        widest = radius_of_box(oracle)[rows]
        radius = torch.full_like(widest, self.params.initial_norm)
        points = oracle.starts[rows]

        def objective(logits: Tensor) -> Tensor:
            value = log_odds(logits, targets.classes, targets.clean)
            return value if targets.is_targeted else -value

        for step in range(self.params.steps):
            logits, gradient = oracle.gradient(points, rows, objective)
            # Radius [m]: shrink by 1 - gamma at adversarials, else grow by 1 + gamma.
            crossed = oracle.is_adversarial(logits, rows)
            factor = torch.where(crossed, 1 - self.params.gamma, 1 + self.params.gamma)
            radius = (radius * factor).minimum(widest)
            direction = unit_direction(gradient, rows, oracle)
            # Perturbation after the step, [m, ...]; only its direction is kept.
            moved = points - images + _step_length(step, self.params.steps) * direction
            norm = lengths(moved).clamp_min(torch.finfo(moved.dtype).tiny)
            # Rescale it to the radius, then clip to the box.
            points = oracle.clip(images + moved * per_row(radius / norm, moved))
        return oracle.best


def _step_length(step: int, steps: int) -> float:
    """Cosine schedule from 1 to 0.01."""
    return 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2

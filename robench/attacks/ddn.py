"""DDN: follow the direction of the gradient, and settle the length of the step apart from it."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.base import Attack
from robench.attacks.budget import Oracle, lengths, per_row
from robench.spec.base import Frozen

__all__ = ["DDN"]

_LOGIT_RANGE = 20.0
"""Spread of the logits of each image, largest minus smallest, that the cross-entropy sees."""


class DDN(Attack):
    """Follow the normalised gradient on a sphere that shrinks when the class changes, else grows.

    Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger 2019, *Decoupling Direction and Norm*
    (arXiv 1811.09600), without the rounding to 8 bits.

    Only the direction of the cross-entropy's gradient matters, so that its saturating factor is
    left out: the function followed is the log-odds of a class, which has the same direction and
    never vanishes. Logits are scaled so that those of the clean image span a fixed range: neither
    confidence nor temperature of the network changes what is found. Where the gradient is zero
    all the same, a random direction is taken.
    """

    name = "ddn"

    class Params(Frozen):
        """How long, towards what, and how fast the sphere changes."""

        steps: Annotated[int, Field(ge=1)] = 100
        """Forward and backward passes, for each target."""
        targets: Annotated[int, Field(ge=0)] = 0
        """0 leaves the own class in any direction; k > 0 walks towards each of the k likeliest
        other classes, and any other class counts."""
        gamma: Annotated[float, Field(gt=0, lt=1)] = 0.05
        """The radius is multiplied by 1 - gamma or 1 + gamma at each step."""
        initial_norm: Annotated[float, Field(gt=0)] = 1.0
        """First radius."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """All targets of an image at once, as separate points of the same row."""
        rows, classes, sign = self._aims(oracle)
        images = oracle.images[rows]
        temperature = _temperature(oracle.logits[rows])
        widest = lengths(torch.maximum(images, 1 - images)) if oracle.box else torch.inf
        radius = images.new_full((len(rows),), self.params.initial_norm)
        moved = oracle.starts[rows] - images
        for step in range(self.params.steps):
            logits, gradient = oracle.gradient(
                oracle.clip(images + moved),
                rows,
                lambda logits: sign * _log_odds(logits / temperature, classes),
            )
            crossed = oracle.is_adversarial(logits, rows)
            factor = torch.where(crossed, 1 - self.params.gamma, 1 + self.params.gamma)
            radius = (radius * factor).clamp_max(widest)
            moved = moved + _step_length(step, self.params.steps) * _direction(
                gradient, rows, oracle
            )
            norm = lengths(moved).clamp_min(torch.finfo(moved.dtype).tiny)
            moved = oracle.clip(images + moved * per_row(radius / norm, moved)) - images
        return oracle.best

    def _aims(self, oracle: Oracle) -> tuple[Tensor, Tensor, int]:
        """Rows, the class whose log-odds each of them follows, and whether up (1) or down (-1)."""
        count = min(self.params.targets, oracle.classes - 1)
        if count == 0:
            return oracle.rows, oracle.labels, -1
        others = oracle.logits.scatter(1, oracle.labels[:, None], -torch.inf)
        classes = others.topk(count, dim=1).indices
        return oracle.rows.repeat_interleave(count), classes.flatten(), 1


def _temperature(logits: Tensor) -> Tensor:
    """What each row of logits is divided by to span the fixed range, [m, 1]."""
    span = logits.amax(dim=1, keepdim=True) - logits.amin(dim=1, keepdim=True)
    return torch.where(span > 0, span / _LOGIT_RANGE, 1.0)


def _log_odds(logits: Tensor, classes: Tensor) -> Tensor:
    """Log-odds of one class against all others, [m]; cross-entropy is softplus of minus these."""
    column = classes[:, None]
    others = logits.scatter(1, column, -torch.inf)
    return logits.gather(1, column)[:, 0] - others.logsumexp(dim=1)


def _direction(gradient: Tensor, rows: Tensor, oracle: Oracle) -> Tensor:
    norm = lengths(gradient)
    direction = gradient / per_row(torch.where(norm > 0, norm, 1.0), gradient)
    (flat,) = (norm == 0).nonzero(as_tuple=True)
    if len(flat):
        direction[flat] = oracle.noise(rows[flat])
    return direction


def _step_length(step: int, steps: int) -> float:
    """Cosine from 1 to 0.01."""
    return 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2

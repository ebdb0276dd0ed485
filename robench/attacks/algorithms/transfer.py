"""Adversarials of another network, tried on this one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.bisection import bisect_ray
from robench.attacks.core.oracle import Oracle
from robench.spec.base import Frozen

__all__ = ["Transfer"]

_STRETCHES = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
"""How far along the ray a point is tried, in units of its distance."""


class Transfer(Attack):
    """Follow the ray to another network's adversarial, as far as three times its distance.

    What fools the dense parent of a sparse network often fools the sparse one. Where it does so at
    a shorter distance than the network's own gradients lead to, those gradients mislead, as Carlini
    et al. 2019 (arXiv 1902.06705) advise to check. It finds nothing where no points were given.
    """

    name = "transfer"

    class Params(Frozen):
        """How finely."""

        steps: Annotated[int, Field(ge=1)] = 12
        """Halvings of the bisection, after six points along the ray."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """The first point on each ray that is adversarial, brought back by bisection."""
        if oracle.transferred is None:
            return oracle.images
        offsets = oracle.transferred - oracle.images
        pending = oracle.rows
        found = oracle.images.clone()
        for stretch in _STRETCHES:
            points = oracle.clip(oracle.images[pending] + stretch * offsets[pending])
            fooled = oracle.is_adversarial(oracle.query(points, pending), pending)
            found[pending[fooled]] = points[fooled]
            pending = pending[~fooled]
            if not len(pending):
                break
        rows = (found != oracle.images).flatten(1).any(dim=1).nonzero().flatten()
        if len(rows):
            bisect_ray(oracle, found[rows], rows, steps=self.params.steps)
        return oracle.best

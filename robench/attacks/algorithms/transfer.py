"""Transfer attack: adversarials of a source model, tried on this network."""

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
"""Positions on the ray that are tried, in units of the distance of the transferred point."""


class Transfer(Attack):
    """Follow the ray to a transferred adversarial, up to three times its distance.

    Adversarials of a dense source model often fool its sparse descendants too. Where a transferred
    adversarial is closer than those of white-box attacks, the network shows gradient masking, as
    Carlini et al. 2019 (arXiv 1902.06705) advise to check. Without transferred points nothing is
    found.
    """

    name = "transfer"

    class Params(Frozen):
        """Precision of the bisection."""

        steps: Annotated[int, Field(ge=1)] = 12
        """Number of halvings of the bisection, after six points on the ray."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Take the first adversarial point on each ray, and bisect back to the boundary."""
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

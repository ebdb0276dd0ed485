"""Random directions: robustness to random noise, a gradient-free baseline."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.geometry import reach_of_box
from robench.attacks.core.oracle import Oracle, per_row
from robench.spec.base import Frozen

__all__ = ["RandomDirections"]


class RandomDirections(Attack):
    """Search random directions for the nearest adversarial.

    A gradient-free baseline: an attack that does not clearly beat it has failed (Carlini et al.
    2019, arXiv 1902.06705). Each direction is queried once, at the smallest adversarial radius
    found so far (at first the distance of the farthest corner of the box). If that point is
    adversarial, bisection reduces the radius. Radii are measured before clipping to the box.
    """

    name = "random-directions"

    class Params(Frozen):
        """Number of directions, and precision of the bisection."""

        directions: Annotated[int, Field(ge=1)] = 200
        """Number of directions for each image, one forward pass each."""
        steps: Annotated[int, Field(ge=1)] = 10
        """Halvings of each radius that is shorter than all before."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """One direction at a time for all images."""
        radius = reach_of_box(oracle)
        for _ in range(self.params.directions):
            direction = oracle.noise(oracle.rows)
            found = self._crosses(oracle, direction, oracle.rows, radius)
            (rows,) = found.nonzero(as_tuple=True)
            if len(rows):
                radius[rows] = self._bisected(oracle, direction[rows], rows, radius[rows])
        return oracle.best

    def _bisected(self, oracle: Oracle, direction: Tensor, rows: Tensor, radius: Tensor) -> Tensor:
        """The smallest radius found at which the class changes, [m]."""
        near, far = torch.zeros_like(radius), radius
        for _ in range(self.params.steps):
            middle = (near + far) / 2
            crosses = self._crosses(oracle, direction, rows, middle)
            far = torch.where(crosses, middle, far)
            near = torch.where(crosses, near, middle)
        return far

    @staticmethod
    def _crosses(oracle: Oracle, direction: Tensor, rows: Tensor, radius: Tensor) -> Tensor:
        points = oracle.images[rows] + per_row(radius, direction) * direction
        return oracle.is_adversarial(oracle.query(points, rows), rows)

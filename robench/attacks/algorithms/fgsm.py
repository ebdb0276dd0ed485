"""FGSM: the shortest single step along the gradient that changes the class."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.geometry import reach_of_box
from robench.attacks.core.losses import log_odds
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.spec.base import Frozen

__all__ = ["FGSM"]

_RATIO = 2**0.5
"""Ratio of each radius of the search to the one before."""


class FGSM(Attack):
    """One step along the gradient or its sign, of the smallest radius that changes the class.

    Goodfellow, Shlens, Szegedy 2015 (arXiv 1412.6572). The attack minimises the radius of the step
    in the norm of that step: l2 for ``step="gradient"``, l∞ for ``step="sign"``. The radius grows
    until a step succeeds, at most to the farthest corner of the box, and bisection refines it. The
    gradient is computed once, at the image.

    The reported distance is Euclidean for both steps. For ``step="sign"`` it belongs to the
    smallest l∞ radius and need not be the smallest l2 distance. The radius itself is
    ``(result.adversarial - images).abs().flatten(1).amax(dim=1)``. The share of images with a
    larger radius is the robust accuracy under FGSM at a fixed radius (as in Guo et al. 2018, arXiv
    1810.09619), except for images whose class changes back on a longer step.

    With a `random_start` it is randomised FGSM (Tramèr et al. 2018, arXiv 1705.07204): that share
    of the radius goes in a random direction, drawn once per image, and the rest along the gradient
    at the point reached, which costs one more gradient per radius. The paper's share is one half.
    """

    name = "fgsm"

    class Params(Frozen):
        """Kind of step, and search for the radius."""

        step: Literal["gradient", "sign"] = "gradient"
        """The unit gradient (l2 step) or its sign (l∞ step)."""
        random_start: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Share of the radius that is spent on a random step first."""
        radii: Annotated[int, Field(ge=1)] = 20
        """Maximum number of radii, each √2 times the one before."""
        bisections: Annotated[int, Field(ge=0)] = 8
        """Number of halvings between the first radius that succeeds and the one before."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Search the radius for all images in parallel, each of them until it succeeds."""
        step = _Step(oracle, self.params.random_start, by_sign=self.params.step == "sign")
        low = torch.zeros_like(step.longest)
        high = torch.full_like(low, torch.inf)
        rows = oracle.rows
        # Increasing radii longest * √2^place; afterwards low fails and high succeeds, both [n].
        for place in range(1 - self.params.radii, 1):
            radius = step.longest[rows] * _RATIO**place
            crosses = step.crosses(rows, radius)
            high[rows[crosses]] = radius[crosses]
            low[rows[~crosses]] = radius[~crosses]
            rows = rows[~crosses]
            if not len(rows):
                break
        (rows,) = high.isfinite().nonzero(as_tuple=True)
        low, high = low[rows], high[rows]
        # Bisection between them, for the images that succeeded at all.
        for _ in range(self.params.bisections if len(rows) else 0):
            middle = (low + high) / 2
            crosses = step.crosses(rows, middle)
            low, high = torch.where(crosses, low, middle), torch.where(crosses, middle, high)
        return oracle.best


class _Step:
    """Single steps from the images, of any radius.

    Attributes:
        longest: the radius that reaches across the box from each image, [n].
    """

    def __init__(self, oracle: Oracle, random_start: float, *, by_sign: bool) -> None:
        self._oracle = oracle
        self._random_start = random_start
        self._by_sign = by_sign
        self.longest = torch.ones_like(oracle.best_distance) if by_sign else reach_of_box(oracle)
        if random_start:
            noise = oracle.noise(oracle.rows)
            self._noise = noise.sign() if by_sign else noise
        else:
            self._direction = self._uphill(oracle.images, oracle.rows)

    def crosses(self, rows: Tensor, radius: Tensor) -> Tensor:
        """Whether a step of the given radius, [m], changes the class, bool [m]."""
        points, length = self._oracle.images[rows], per_row(radius, self._oracle.images)
        if self._random_start:
            points = self._oracle.clip(points + self._random_start * length * self._noise[rows])
            direction = self._uphill(points, rows)
        else:
            direction = self._direction[rows]
        points = points + (1 - self._random_start) * length * direction
        return self._oracle.is_adversarial(self._oracle.query(points, rows), rows)

    def _uphill(self, points: Tensor, rows: Tensor) -> Tensor:
        """Ascent direction of the cross-entropy, of norm 1; zero where there is no gradient."""
        labels, clean = self._oracle.labels[rows], self._oracle.logits[rows]
        _, gradient = self._oracle.gradient(
            points, rows, lambda logits: -log_odds(logits, labels, clean)
        )
        if self._by_sign:
            return gradient.sign()
        length = lengths(gradient)
        return gradient / per_row(torch.where(length > 0, length, 1.0), gradient)

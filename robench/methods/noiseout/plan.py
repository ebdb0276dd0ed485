"""Which units are merged, in which order: constant ones first, then those that are most alike.

A unit A whose activation is h_A ≈ α h_B + β can go when the reader reads B α times as much for it
and takes β over: α = cov(h_A, h_B) / var(h_B), β = mean(h_A) - α mean(h_B). What is lost of h_A has
the variance σ_A² (1 - ρ²), and reaches the outputs of the reader through its weights for A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from robench.methods.noiseout.moments import constants, correlations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from robench.methods.noiseout.links import Link, Widths
    from robench.methods.noiseout.moments import Moments

__all__ = ["Candidates", "Choice", "Merge", "plan_merges", "reading"]

Choice = Literal["correlation", "damage"]

_NEVER = -1.0
"""The likeness of units that cannot be merged: one with itself, or with one that is gone."""


@dataclass(frozen=True)
class Merge:
    """One unit that goes.

    Attributes:
        place: of the link, in the order of links.
        unit: A, the unit that goes.
        into: B, the unit that answers for it, or `None` where it is constant.
        slope: α, 0 for a constant.
        intercept: β, the mean of a constant.
        zeros: prunable weights that are zero after it, at most.
    """

    place: int
    unit: int
    into: int | None
    slope: float
    intercept: float
    zeros: int = 0


class Candidates:
    """The units of one layer that are left, and which of them goes next.

    Args:
        place: of the link, handed on to the merges.
        moments: of the activations.
        weights: [units, units], inner products of the reader's weights for each two units.
        alive: bool [units], false where a unit is gone already.
        choose: ``correlation`` takes the pair of largest |ρ|, and of the two the unit that does
            less damage; ``damage`` the unit that does least.

    Attributes:
        loss: the share of the variance of what the reader computes that goes with the next unit,
            as predicted; 0 for a constant, infinite where fewer than two units are left.
    """

    def __init__(
        self,
        place: int,
        moments: Moments,
        weights: NDArray[np.float64],
        alive: NDArray[np.bool_],
        choose: Choice = "correlation",
    ) -> None:
        self._place = place
        self._choose = choose
        self._mean, self._covariance = moments.mean, moments.covariance
        self._variance = self._covariance.diagonal()
        self._weights = weights.copy()
        self._left = int(alive.sum())
        self._constants = np.flatnonzero(constants(moments) & alive).tolist()
        self._total = max(float((self._covariance * weights).sum()), np.finfo(float).tiny)
        self._likeness = np.abs(correlations(moments))
        np.fill_diagonal(self._likeness, _NEVER)
        self._likeness[~alive] = self._likeness[:, ~alive] = _NEVER
        self._partner = self._likeness.argmax(1)
        self._strongest = self._likeness.max(1)
        self._find_next()

    def take(self, zeros: int = 0) -> Merge:
        """Let the next unit go; `zeros` is noted in the merge."""
        unit, into = self._next
        slope, intercept = 0.0, self._mean[unit]
        if into is None:
            self._constants.remove(unit)
        else:
            slope = self._covariance[unit, into] / self._variance[into]
            intercept -= slope * self._mean[into]
            self._weights[into] += slope * self._weights[unit]
            self._weights[:, into] += slope * self._weights[:, unit]
        self._drop(unit)
        self._find_next()
        return Merge(self._place, unit, into, float(slope), float(intercept), zeros)

    def _find_next(self) -> None:
        """Decide which unit goes, and which one answers for it."""
        self._next: tuple[int, int | None] = (0, None)
        self.loss = 0.0
        if self._left < 2:
            self.loss = np.inf
        elif self._constants:
            self._next = (self._constants[0], None)
        else:
            damages = self._variance * (1 - self._strongest**2) * self._weights.diagonal()
            damages[self._strongest == _NEVER] = np.inf
            unit = int((damages if self._choose == "damage" else -self._strongest).argmin())
            into = int(self._partner[unit])
            if self._choose == "correlation" and damages[into] < damages[unit]:
                unit, into = into, unit
            self._next = (unit, into)
            self.loss = float(damages[unit] / self._total)

    def _drop(self, unit: int) -> None:
        self._left -= 1
        self._likeness[unit] = self._likeness[:, unit] = _NEVER
        self._strongest[unit] = _NEVER
        # Only those whose partner is gone have to look for another one.
        alone = np.flatnonzero((self._partner == unit) & (self._strongest > _NEVER))
        self._partner[alone] = self._likeness[alone].argmax(1)
        self._strongest[alone] = self._likeness[alone, self._partner[alone]]


def plan_merges(
    candidates: Sequence[Candidates], widths: Widths, zeros: int, wanted: int
) -> list[Merge]:
    """Merges, those of least loss first, until the next one would go beyond a number of zeros.

    Each layer keeps a unit.

    Args:
        candidates: of each link; changed in place.
        widths: of the chain; changed in place.
        zeros: prunable weights that are zero now.
        wanted: how many may be zero in the end.
    """
    merges: list[Merge] = []
    while True:
        place = min(range(len(candidates)), key=lambda place: candidates[place].loss)
        zeros += widths.cost(place)
        if candidates[place].loss == np.inf or zeros > wanted:
            return merges
        widths.remove(place)
        merges.append(candidates[place].take(zeros))


def reading(link: Link, weight: Tensor) -> NDArray[np.float64]:
    """Inner products of a reader's weights for each two units, [units, units]."""
    by_unit = link.by_unit(weight.detach()).movedim(1, 0).flatten(1)
    products: NDArray[np.float64] = (by_unit @ by_unit.T).double().cpu().numpy()
    return products

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
        choose: see `NoiseOut.Params`.
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
        self._variance = np.diag(self._covariance).copy()
        self._weights = weights.copy()
        self._alive = alive.copy()
        self._constants = list(np.flatnonzero(constants(moments) & alive)[::-1])
        # What the reader computes varies by this much in all.
        self._total = max(float((self._covariance * weights).sum()), np.finfo(float).tiny)
        self._likeness = np.abs(correlations(moments))
        np.fill_diagonal(self._likeness, -1.0)
        self._likeness[~alive] = self._likeness[:, ~alive] = -1.0
        self._partner = self._likeness.argmax(1)
        self._strongest = self._likeness.max(1)

    @property
    def count(self) -> int:
        """How many units are left."""
        return int(self._alive.sum())

    @property
    def loss(self) -> float:
        """The share of the variance of what the reader computes that the next merge should lose."""
        if self._constants:
            return 0.0
        unit, _ = self._next_pair()
        return float(self._damages()[unit] / self._total)

    def take(self, zeros: int = 0) -> Merge:
        """Let the next unit go; `zeros` is noted in the merge."""
        if self._constants:
            unit = int(self._constants.pop())
            self._drop(unit)
            return Merge(self._place, unit, None, 0.0, float(self._mean[unit]), zeros)
        unit, into = self._next_pair()
        slope = self._covariance[unit, into] / self._variance[into]
        intercept = self._mean[unit] - slope * self._mean[into]
        self._weights[into] += slope * self._weights[unit]
        self._weights[:, into] += slope * self._weights[:, unit]
        self._drop(unit)
        return Merge(self._place, unit, into, float(slope), float(intercept), zeros)

    def _next_pair(self) -> tuple[int, int]:
        """The unit that goes, and the one that answers for it."""
        if self._choose == "damage":
            unit = int(self._damages().argmin())
            return unit, int(self._partner[unit])
        one = int(self._strongest.argmax())
        other = int(self._partner[one])
        damages = self._damages()
        return (one, other) if damages[one] <= damages[other] else (other, one)

    def _damages(self) -> NDArray[np.float64]:
        """Variance that the outputs of the reader lose with each unit, σ² (1 - ρ²) ‖w‖²."""
        lost = self._variance * (1 - self._strongest**2) * np.diag(self._weights)
        return np.where(self._strongest < 0, np.inf, lost)

    def _drop(self, unit: int) -> None:
        self._alive[unit] = False
        self._likeness[unit] = self._likeness[:, unit] = -1.0
        self._strongest[unit] = -1.0
        # Only those whose partner is gone have to look for another one.
        alone = np.flatnonzero((self._partner == unit) & self._alive)
        self._partner[alone] = self._likeness[alone].argmax(1)
        self._strongest[alone] = self._likeness[alone, self._partner[alone]]


def plan_merges(
    candidates: Sequence[Candidates], widths: Widths, zeros: int, wanted: int
) -> list[Merge]:
    """Merges, best first, as long as the next one does not go beyond a number of zeros.

    Each layer keeps a unit.

    Args:
        candidates: of each link; changed in place.
        widths: of the chain; changed in place.
        zeros: prunable weights that are zero now.
        wanted: how many may be zero in the end.
    """
    merges: list[Merge] = []
    losses = [one.loss for one in candidates]
    while True:
        places = [place for place, one in enumerate(candidates) if one.count > 1]
        if not places:
            return merges
        costs={p: widths.cost(p) for p in places}
        import os
        mode=os.environ.get('PLAN','cost')
        if mode=='cost': key=lambda place: losses[place] / costs[place]
        elif mode=='loss': key=lambda place: losses[place]
        elif mode=='sqrt': key=lambda place: losses[place]/costs[place]**.5
        else: key=lambda place: -candidates[place].count/len(candidates[place]._alive)
        place = min(places, key=key)
        zeros += widths.cost(place)
        if zeros > wanted:
            return merges
        widths.remove(place)
        merges.append(candidates[place].take(zeros))
        losses[place] = candidates[place].loss


def reading(link: Link, weight: Tensor) -> NDArray[np.float64]:
    """Inner products of a reader's weights for each two units, [units, units]."""
    by_unit = link.by_unit(weight.detach()).movedim(1, 0).flatten(1)
    products: NDArray[np.float64] = (by_unit @ by_unit.T).double().cpu().numpy()
    return products

"""How the activations of the units of a layer go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Moments", "constants", "correlations", "mean_strongest"]

CONSTANT = 1e-6
"""A unit is constant when its standard deviation is below this share of its root mean square."""


class Moments:
    """Mean and covariance of activations, gathered batch by batch.

    Args:
        units: how many there are.
        centred: false for second moments about zero, with which a least-squares fit of one unit to
            another goes through the origin, and the mean is given as zero.
    """

    def __init__(self, units: int, *, centred: bool = True) -> None:
        self._centred = centred
        self._count = 0
        self._mean = torch.zeros(units, dtype=torch.float64)
        self._scatter = torch.zeros(units, units, dtype=torch.float64)

    def add(self, activations: Tensor) -> None:
        """Take in [samples, units, places]; each place of each sample is one observation."""
        values = activations.movedim(1, -1).flatten(0, -2)
        count = len(values)
        mean = values.mean(0) if self._centred else values.new_zeros(values.shape[1])
        centred = values - mean
        # One product for all pairs. Two batches are put together as by Chan, Golub & LeVeque 1979.
        between = mean.cpu().double() - self._mean
        total = self._count + count
        self._scatter += (centred.T @ centred).cpu()
        self._scatter += torch.outer(between, between) * (self._count * count / total)
        self._mean += between * (count / total)
        self._count = total

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of each unit, [units]."""
        return self._mean.numpy()

    @property
    def covariance(self) -> NDArray[np.float64]:
        """[units, units], normalised by the number of observations."""
        return (self._scatter / max(self._count, 1)).numpy()


def constants(moments: Moments) -> NDArray[np.bool_]:
    """Which units always answer the same, [units]."""
    variance = np.diag(moments.covariance)
    return variance <= CONSTANT**2 * (variance + moments.mean**2)


def correlations(moments: Moments) -> NDArray[np.float64]:
    """The correlation ρ of each two units, [units, units]; 0 for a constant and on the diagonal."""
    covariance = moments.covariance
    varies = ~constants(moments)
    scale = np.zeros(len(covariance))
    scale[varies] = 1 / np.sqrt(np.diag(covariance)[varies])
    rho = np.clip(covariance * np.outer(scale, scale), -1, 1)
    np.fill_diagonal(rho, 0)
    return rho


def mean_strongest(moments: Moments) -> float | None:
    """The mean over units of the largest |ρ| with another one, in [0, 1].

    Constant units do not count; `None` where fewer than two are left.
    """
    varies = ~constants(moments)
    if varies.sum() < 2:
        return None
    return float(np.abs(correlations(moments))[varies].max(1).mean())

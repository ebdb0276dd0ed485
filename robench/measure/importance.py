"""Importance of inputs: how much the answers of a function change if one input is permuted.

The importance of an input is its total effect, half the mean squared change of the answers when the
values of that input are exchanged between rows (Jansen 1999, "Analysis of variance designs for
model output"). It asks the same of any function, network or trees; it is never negative, and zero
for an input that nothing reads, which permutation importance by the loss (Breiman 2001) is not. It
measures what the function relies on, whether or not that makes it more accurate. As with all
permutations, correlated inputs are decorrelated (Hooker et al. 2021, arXiv:1905.03151).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from robench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Answer", "divergence_bits", "entropy_bits", "importance_shares", "total_effects"]

Answer: TypeAlias = "Callable[[NDArray[np.float32]], NDArray[np.float64]]"
"""From rows [N, F] to answers [N, K]: class probabilities, or standardised predictions."""

_LEAST_EFFECT = 1e-12
"""Smaller effects are rounding: changes of the answers of at most 1e-6."""
_ROWS_AT_ONCE = 65_536


def total_effects(
    answer: Answer, rows: NDArray[np.float32], *, seed: int, repeats: int = 4
) -> NDArray[np.float64]:
    """The total effect of each input, in squared units of the answers.

    Args:
        answer: the function.
        rows: float32 [N, F], at least two.
        seed: of the exchanges; the same for all functions that are to be compared.
        repeats: how many exchanges are averaged. No row keeps its value in any.

    Returns:
        float64 [F], zero where nothing but rounding moves the answers.

    Raises:
        InputError: fewer than two rows.
    """
    count, features = rows.shape
    if count < 2:
        raise InputError(f"{count} rows cannot exchange values", allowed="two rows or more")
    partners = _partners(count, repeats, np.random.default_rng(seed))
    answers = answer(rows)
    together = max(1, _ROWS_AT_ONCE // (count * repeats))
    effects = np.zeros(features)
    for start in range(0, features, together):
        chosen = np.arange(start, min(start + together, features))
        shown = np.broadcast_to(rows, (len(chosen), repeats, count, features)).copy()
        for place, feature in enumerate(chosen):
            shown[place, :, :, feature] = rows[partners, feature]
        moved = answer(shown.reshape(-1, features)).reshape(len(chosen), repeats, count, -1)
        effects[chosen] = np.square(moved - answers).sum(axis=3).mean(axis=(1, 2)) / 2
    return np.where(effects > _LEAST_EFFECT, effects, 0.0)


def importance_shares(effects: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Effects as shares that add up to 1; `None` where no input has any."""
    total = float(effects.sum())
    return effects / total if total > 0 else None


def entropy_bits(shares: NDArray[np.float64]) -> float:
    """Over how many inputs the importance spreads: 0 bits for one, log2 F for all alike."""
    return float(entropy(shares, base=2))


def divergence_bits(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The Jensen-Shannon divergence (Lin 1991) of two shares: 0 if alike, 1 if disjoint."""
    return float(jensenshannon(first, second, base=2)) ** 2


def _partners(count: int, repeats: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """For each row another one whose value it gets: [repeats, count]."""
    partners = np.empty((repeats, count), dtype=np.int64)
    for row in partners:
        order = generator.permutation(count)
        row[order] = np.roll(order, 1)
    return partners

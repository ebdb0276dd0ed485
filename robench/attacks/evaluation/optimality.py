"""Optimality of an attack: how close it came to the best of all attacks, from 0 to 1."""

from __future__ import annotations

from torch import Tensor

__all__ = ["area", "largest_distance", "optimality"]


def optimality(distance: Tensor, best: Tensor, correct: Tensor) -> float | None:
    """Area removed from the curve of robust accuracy, relative to that of the best of all attacks.

    AttackBench (Cinà et al. 2025, arXiv 2404.19460): with ρ the clean accuracy and ε₀ the radius at
    which the robust accuracy under the best is 0, it is
    ``(ρ·ε₀ − area of the attack) / (ρ·ε₀ − area of the best)``. Images without an adversarial count
    as ε₀.

    Args:
        distance: distances of the attack, float64 [N]; 0 for misclassified images, infinite where
            nothing was found.
        best: the smallest known distances, [N].
        correct: whether the image is classified correctly, bool [N].

    Returns:
        1 for the best, 0 for an attack that finds nothing within ε₀; `None` if no attack found
        anything.
    """
    limit = largest_distance(best)
    taken = limit - best[correct].clamp_max(limit)
    if not taken.sum() > 0:
        return 1.0 if limit > 0 and bool((distance[correct] <= limit).all()) else None
    # Distances below the best belong to points that failed verification.
    own = distance[correct].maximum(best[correct])
    return ((limit - own.clamp_max(limit)).sum() / taken.sum()).item()


def area(distance: Tensor, limit: float) -> float:
    """Mean of ``min(distance, limit)``: the area under the curve of robust accuracy to `limit`."""
    return distance.clamp_max(limit).mean().item()


def largest_distance(best: Tensor) -> float:
    """The largest finite distance; 0 if there is none."""
    found = best[best.isfinite()]
    return found.max().item() if len(found) else 0.0

"""How close one attack came to the best of all, on a scale from nothing to everything."""

from __future__ import annotations

from torch import Tensor

__all__ = ["area", "largest_distance", "optimality"]


def optimality(distance: Tensor, best: Tensor, correct: Tensor) -> float | None:
    """The area that an attack takes off the curve of robust accuracy, over what the best takes.

    AttackBench (Cinà et al. 2025, arXiv 2404.19460): with ρ the clean accuracy and ε₀ the radius at
    which the best leaves nothing, ``(ρ·ε₀ − area of the attack) / (ρ·ε₀ − area of the best)``. What
    an attack did not find counts as ε₀.

    Args:
        distance: of the attack, float64 [N]; 0 for misclassified images, infinite for none.
        best: the shortest known ones, [N].
        correct: the model puts the image in its class, bool [N].

    Returns:
        1 for the best, 0 for an attack that finds nothing within ε₀; `None` where nobody found
        anything.
    """
    limit = largest_distance(best)
    taken = limit - best[correct].clamp_max(limit)
    if not taken.sum() > 0:
        return 1.0 if limit > 0 and bool((distance[correct] <= limit).all()) else None
    # What lies below the best was not adversarial when it was asked again.
    own = distance[correct].maximum(best[correct])
    return ((limit - own.clamp_max(limit)).sum() / taken.sum()).item()


def area(distance: Tensor, limit: float) -> float:
    """Mean of ``min(distance, limit)``: the area under the curve of robust accuracy to `limit`."""
    return distance.clamp_max(limit).mean().item()


def largest_distance(best: Tensor) -> float:
    """The radius beyond which no found adversarial lies; 0 where there is none."""
    found = best[best.isfinite()]
    return found.max().item() if len(found) else 0.0

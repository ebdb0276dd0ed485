"""Verify what an attack found: query its points again, and keep the closest adversarial."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robench.attacks.core.inputs import AttackInputs, is_wrong, outputs_in_batches
from robench.attacks.core.oracle import Oracle, lengths, per_row

__all__ = ["STRETCHES", "distances", "judge", "judge_all"]

STRETCHES = (1 + 1e-5, 1 + 1e-4, 1 + 1e-3, 1 + 1e-2, 1 + 1e-1)
"""Factors by which a perturbation is lengthened that was adversarial only by rounding."""


def judge_all(inputs: AttackInputs, oracle: Oracle, returned: Tensor) -> tuple[Tensor, Tensor]:
    """The closest adversarial of an attack that is confirmed, and its distance: see `judge`.

    Close to the boundary the class may depend on rounding within a batch. Where the closest point
    flips back, its perturbation is lengthened until it is adversarial. Where it never is, the point
    with the largest margin that the attack saw is used instead.

    Args:
        inputs: the images, [n, ...].
        oracle: the oracle that the attack queried; it recorded the adversarials.
        returned: the points that the attack returned, [n, ...].
    """
    best, shortest = judge(inputs, [oracle.clip(returned), oracle.best])
    seen = oracle.best_distance.isfinite() & (oracle.surest != inputs.images).flatten(1).any(dim=1)
    # The oracle's distances are in float32, and the attack may have modified its images in place:
    # they only tell which points to check again.
    closest = distances(inputs.images, oracle.best)
    for stretch in STRETCHES:
        rows = (seen & (shortest > stretch * closest)).nonzero().flatten()
        if not len(rows):
            return best, shortest
        part = inputs.select(rows)
        longer = part.images + stretch * (oracle.best[rows] - part.images)
        best[rows], shortest[rows] = _closer_of(part, longer, best[rows], shortest[rows])
    rows = (seen & shortest.isinf()).nonzero().flatten()
    if len(rows):
        best[rows], shortest[rows] = judge(inputs.select(rows), [oracle.surest[rows]])
    return best, shortest


def judge(inputs: AttackInputs, candidates: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """For each image, the closest candidate that the model misclassifies when queried again.

    Args:
        inputs: the images, [n, ...].
        candidates: tensors of points, each [n, ...].

    Returns:
        The points, float32 [n, ...], and their distances, float64 [n]; where none of them is
        adversarial, the image itself and infinity.
    """
    best = inputs.images.clone()
    shortest = torch.full((len(best),), torch.inf, dtype=torch.float64, device=best.device)
    for points in candidates:
        best, shortest = _closer_of(inputs, points, best, shortest)
    return best, shortest


def distances(images: Tensor, points: Tensor) -> Tensor:
    """Euclidean distance of each point from its image in double precision, float64 [n]."""
    difference = points.to(torch.float64) - images.to(torch.float64)
    return lengths(difference)


def _closer_of(
    inputs: AttackInputs, points: Tensor, best: Tensor, shortest: Tensor
) -> tuple[Tensor, Tensor]:
    points = points.clamp(0, 1) if inputs.box else points
    logits = outputs_in_batches(inputs.model, points, len(points))
    distance = distances(inputs.images, points)
    # A comparison with NaN is false, so that a point that is not finite is never chosen.
    closer = is_wrong(logits, inputs.labels) & (distance < shortest)
    return torch.where(per_row(closer, best), points, best), torch.where(closer, distance, shortest)

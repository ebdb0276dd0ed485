"""What an attack really found: its points are asked again, and none that holds is lost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robench.attacks.core.inputs import AttackInputs, is_wrong, outputs_in_batches
from robench.attacks.core.oracle import Oracle, lengths, per_row

__all__ = ["STRETCHES", "distances", "judge", "judge_all"]

STRETCHES = (1 + 1e-5, 1 + 1e-4, 1 + 1e-3, 1 + 1e-2, 1 + 1e-1)
"""By how much a point is lengthened, at most, that was adversarial by the rounding of one pass."""


def judge_all(inputs: AttackInputs, oracle: Oracle, returned: Tensor) -> tuple[Tensor, Tensor]:
    """The closest point of an attack that holds, and its distance: see `judge`.

    Near to the boundary the class may depend on the rounding of a batch. Where the closest point
    flips back it is lengthened until it holds, and where it never does, the one that was seen with
    the largest margin stands in.

    Args:
        inputs: the images, [n, ...].
        oracle: that the attack asked; it remembers what was seen.
        returned: what the attack returned, [n, ...].
    """
    best, shortest = judge(inputs, [oracle.clip(returned), oracle.best])
    seen = oracle.best_distance.isfinite() & (oracle.surest != inputs.images).flatten(1).any(dim=1)
    # The distances that the oracle remembers are in float32, of images that an attack may have
    # written into: nothing is taken from them but where to look again.
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
    """The closest of some points for each image that the model really puts in another class.

    Args:
        inputs: the images, [n, ...].
        candidates: points of the same shape.

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
    # A comparison with NaN is false, so that a point which is not finite never wins.
    closer = is_wrong(logits, inputs.labels) & (distance < shortest)
    return torch.where(per_row(closer, best), points, best), torch.where(closer, distance, shortest)

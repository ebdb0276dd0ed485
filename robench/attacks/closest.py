"""Of all points that the runs of a suite found, the closest one of each image that holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.attacks.base import distances
from robench.attacks.budget import per_row
from robench.attacks.losses import logit_margin
from robench.attacks.problem import Problem, outputs_in_batches
from robench.attacks.trials import Trial
from robench.attacks.verify import Verifier

__all__ = ["MISCLASSIFIED", "NONE", "SMALLEST_MARGIN", "Closest", "closest_that_hold"]

MISCLASSIFIED, NONE = "misclassified", "none"
SMALLEST_MARGIN = 1e-6
"""Of the median margin of the clean images: nearer to zero it may be the rounding of float32."""
_STRETCHES = (1.0, 1 + 1e-5, 1 + 1e-4, 1 + 1e-3)
"""By how much points are lengthened, at most, until they hold."""


@dataclass(frozen=True)
class Closest:
    """The best of all runs, for some images.

    Attributes:
        adversarial: [n, ...]; the image itself where there is none.
        distance: float64 [n]; 0 for misclassified images, infinite where nothing holds.
        margin: how far the class falls short there, in median clean margins, float64 [n].
        winner: the key of the run, ``"misclassified"`` or ``"none"``.
        lost: adversarials were found, but none holds, bool [n].
    """

    adversarial: Tensor
    distance: Tensor
    margin: Tensor
    winner: tuple[str, ...]
    lost: Tensor

    @classmethod
    def join(cls, parts: Sequence[Closest]) -> Closest:
        """Those of parts of the images, in order, as one."""
        return cls(
            adversarial=torch.cat([part.adversarial for part in parts]),
            distance=torch.cat([part.distance for part in parts]),
            margin=torch.cat([part.margin for part in parts]),
            winner=tuple(name for part in parts for name in part.winner),
            lost=torch.cat([part.lost for part in parts]),
        )

    def or_closer(self, other: Closest) -> Closest:
        """Of two for the same images, the second one chosen from more runs, the closer each."""
        closer = other.distance < self.distance
        distance = torch.where(closer, other.distance, self.distance)
        return Closest(
            adversarial=torch.where(
                per_row(closer, self.adversarial), other.adversarial, self.adversarial
            ),
            distance=distance,
            margin=torch.where(closer, other.margin, self.margin),
            winner=tuple(
                theirs if is_closer else own
                for own, theirs, is_closer in zip(
                    self.winner, other.winner, closer.tolist(), strict=True
                )
            ),
            lost=other.lost,
        )


def closest_that_hold(part: Problem, trials: Mapping[str, Trial], verifier: Verifier) -> Closest:
    """The closest point of each image that is verified; the closest of all may not be."""
    candidates = [
        (key, points, distance)
        for key, trial in trials.items()
        for points, distance in (
            (trial.points_on_ray, trial.distance_on_ray),
            (trial.result.adversarial, trial.result.distance),
        )
    ]
    lengths = torch.stack([distance for _, _, distance in candidates])
    order = lengths.argsort(dim=0, stable=True)
    adversarial = part.images.clone()
    distance = torch.where(part.correct, torch.inf, 0.0).to(torch.float64)
    winner = [NONE if correct else MISCLASSIFIED for correct in part.correct.tolist()]
    # Points whose margin may be rounding count only for images that have no others.
    for smallest_margin in (SMALLEST_MARGIN * part.unit, 0.0):
        for choice in order:
            pending = distance.isinf() & lengths.gather(0, choice[None])[0].isfinite()
            rows = pending.nonzero().flatten()
            if not len(rows):
                break
            chosen = choice[rows].tolist()
            points = torch.stack(
                [candidates[c][1][row] for c, row in zip(chosen, rows.tolist(), strict=True)]
            )
            points, holds = _made_to_hold(part.select(rows), points, verifier, smallest_margin)
            adversarial[rows[holds]] = points[holds]
            distance[rows[holds]] = distances(part.images[rows[holds]], points[holds])
            for c, row, held in zip(chosen, rows.tolist(), holds.tolist(), strict=True):
                winner[row] = candidates[c][0] if held else winner[row]
    lost = distance.isinf() & lengths.isfinite().any(dim=0)
    margin = _margins(part, adversarial, part.correct & distance.isfinite())
    return Closest(adversarial, distance, margin, tuple(winner), lost)


def _made_to_hold(
    part: Problem, points: Tensor, verifier: Verifier, smallest_margin: float
) -> tuple[Tensor, Tensor]:
    """The points, lengthened a little where they do not hold, and which of them do then, bool [n].

    An optimiser may end within the rounding of float32 of the boundary.
    """
    points = points.clone()
    holds = torch.zeros_like(part.correct)
    for stretch in _STRETCHES:
        rows = (~holds).nonzero().flatten()
        if not len(rows):
            break
        images = part.images[rows]
        tried = images + stretch * (points[rows] - images) if stretch > 1 else points[rows]
        tried = tried.clamp(0, 1) if part.box else tried
        holds[rows] = verifier.holds(
            part.labels[rows], tried, box=part.box, smallest_margin=smallest_margin
        )
        points[rows[holds[rows]]] = tried[holds[rows]]
    return points, holds


def _margins(part: Problem, adversarial: Tensor, found: Tensor) -> Tensor:
    """Size of the margins at adversarials, as a fraction of the median clean one, [n]."""
    margin = torch.zeros(len(adversarial), dtype=torch.float64, device=adversarial.device)
    if found.any():
        logits = outputs_in_batches(part.model, adversarial[found], part.batch_size)
        margin[found] = -logit_margin(logits, part.labels[found]).double() / part.unit
    return margin

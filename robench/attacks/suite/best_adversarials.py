"""The closest verified adversarial of each image, over all runs of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from robench.attacks.algorithms.nearest import nearest_of_other_classes
from robench.attacks.core.inputs import AttackInputs, outputs_in_batches
from robench.attacks.core.judge import STRETCHES, distances
from robench.attacks.core.losses import logit_margin
from robench.attacks.core.oracle import Oracle, per_row
from robench.attacks.suite.runs import RunResult
from robench.attacks.suite.verify import Verifier

__all__ = [
    "MISCLASSIFIED",
    "NONE",
    "REFERENCE",
    "SMALLEST_MARGIN",
    "BestAdversarials",
    "best_verified",
]

MISCLASSIFIED, NONE, REFERENCE = "misclassified", "none", "reference"
"""Winners that are no attack; a reference is an image of another class, moved closer."""
SMALLEST_MARGIN = 1e-6
"""Smallest margin, as a fraction of the median clean one, that is not rounding of float32."""
_STRETCHES = (1.0, *STRETCHES[:3])
"""Factors by which perturbations are lengthened to pass verification, against rounding."""
_LONG_STRETCHES = (1.003, 1.01, 1.03, 1.1)
_LENGTHENED = 3
"""Number of closest candidates of each image that are lengthened by more than rounding."""
_Candidate: TypeAlias = tuple[str, Tensor, Tensor]
"""Key of the run, its points [n, ...] and their distances [n], infinite for none."""
_REFERENCES_TRIED, _BISECTIONS = 10, 12


@dataclass(frozen=True, eq=False)
class BestAdversarials:
    """The best of all runs (ensemble minimum), for some images.

    Attributes:
        adversarial: [n, ...]; the image itself where there is none.
        distance: float64 [n]; 0 for misclassified images, infinite where nothing holds.
        margin: how far the class falls short there, in median clean margins, float64 [n].
        winner: the key of the run, ``"reference"``, ``"misclassified"`` or ``"none"``.
        lost: adversarials were found, but none holds, bool [n].
    """

    adversarial: Tensor
    distance: Tensor
    margin: Tensor
    winner: tuple[str, ...]
    lost: Tensor

    @classmethod
    def join(cls, parts: Sequence[BestAdversarials]) -> BestAdversarials:
        """Concatenate results of consecutive batches."""
        return cls(
            adversarial=torch.cat([part.adversarial for part in parts]),
            distance=torch.cat([part.distance for part in parts]),
            margin=torch.cat([part.margin for part in parts]),
            winner=tuple(name for part in parts for name in part.winner),
            lost=torch.cat([part.lost for part in parts]),
        )

    def or_closer(self, other: BestAdversarials) -> BestAdversarials:
        """For each image the closer of two results; `other` was chosen from more runs."""
        closer = other.distance < self.distance
        distance = torch.where(closer, other.distance, self.distance)
        return BestAdversarials(
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


def best_verified(
    part: AttackInputs, results: Mapping[str, RunResult], verifier: Verifier
) -> BestAdversarials:
    """The closest point of each image that passes verification.

    If no point of any run passes, the nearest reference that does is still an upper bound. An image
    has no distance only if no known point changes its class.
    """
    search = _Search(part, verifier)
    candidates, surest = _candidates(part, results)
    # Points whose margin may be rounding count only for images that have no others.
    firm = SMALLEST_MARGIN * part.unit
    search.try_all(candidates, firm, _STRETCHES)
    search.lengthen(candidates, firm)
    search.try_all(candidates, 0.0, (*_STRETCHES, *_LONG_STRETCHES))
    search.try_all(surest, 0.0, _STRETCHES)
    found = [distance.isfinite() for _, _, distance in (*candidates, *surest)]
    lost = search.pending & torch.stack(found).any(dim=0)
    search.take_references()
    margin = _margins(part, search.adversarial, part.correct & search.distance.isfinite())
    return BestAdversarials(search.adversarial, search.distance, margin, tuple(search.winner), lost)


def _candidates(
    part: AttackInputs, results: Mapping[str, RunResult]
) -> tuple[list[_Candidate], list[_Candidate]]:
    """Candidates of all runs, and the points with the largest margin that they saw."""
    found: list[_Candidate] = []
    surest: list[_Candidate] = []
    for key, result in results.items():
        found.append((key, result.points_on_ray, result.distance_on_ray))
        found.append((key, result.result.adversarial, result.result.distance))
        if result.result.surest is not None:
            far = distances(part.images, result.result.surest)
            known = part.correct & (far > 0)
            surest.append((key, result.result.surest, torch.where(known, far, torch.inf)))
    return found, surest


class _Search:
    """Best verified adversarial of each image so far."""

    def __init__(self, part: AttackInputs, verifier: Verifier) -> None:
        self._part = part
        self._verifier = verifier
        self.adversarial = part.images.clone()
        self.distance = torch.where(part.correct, torch.inf, 0.0).to(torch.float64)
        self.winner = [NONE if correct else MISCLASSIFIED for correct in part.correct.tolist()]

    @property
    def pending(self) -> Tensor:
        """Images without a verified adversarial, bool [n]."""
        return self.distance.isinf()

    def try_all(
        self, candidates: Sequence[_Candidate], margin: float, stretches: Sequence[float]
    ) -> None:
        """For pending images, verify one candidate after the other, the closest first."""
        if not candidates:
            return
        lengths = torch.stack([distance for _, _, distance in candidates])
        for choice in lengths.argsort(dim=0, stable=True):
            is_there = lengths.gather(0, choice[None])[0].isfinite()
            rows = (self.pending & is_there).nonzero().flatten()
            if not len(rows):
                break
            self._offer_chosen(candidates, choice, rows, margin, stretches)

    def lengthen(self, candidates: Sequence[_Candidate], margin: float) -> None:
        """Lengthen closer candidates by more than rounding, while they stay the closest.

        In a network that computes in half precision, the boundary is a strip of tied logits.
        """
        lengths = torch.stack([distance for _, _, distance in candidates])
        for choice in lengths.argsort(dim=0, stable=True)[:_LENGTHENED]:
            known = lengths.gather(0, choice[None])[0]
            rows = (self.distance > _LONG_STRETCHES[0] * known).nonzero().flatten()
            if len(rows):
                self._offer_chosen(candidates, choice, rows, margin, _LONG_STRETCHES)

    def _offer_chosen(
        self,
        candidates: Sequence[_Candidate],
        choice: Tensor,
        rows: Tensor,
        margin: float,
        stretches: Sequence[float],
    ) -> None:
        chosen = list(zip(choice[rows].tolist(), rows.tolist(), strict=True))
        points = torch.stack([candidates[place][1][row] for place, row in chosen])
        keys = [candidates[place][0] for place, _ in chosen]
        self.offer(rows, points, keys, margin, stretches)

    def offer(
        self,
        rows: Tensor,
        points: Tensor,
        keys: Sequence[str],
        smallest_margin: float,
        stretches: Sequence[float],
    ) -> None:
        """Accept the points that pass verification, lengthened if needed, and are closer.

        Args:
            rows: int64 [m], the images that they are offered for.
            points: [m, ...].
            keys: whose they are.
            smallest_margin: that they must have.
            stretches: by how much they may be lengthened, one after the other.
        """
        part = self._part.select(rows)
        points, holds = _made_to_hold(part, points, self._verifier, smallest_margin, stretches)
        distance = distances(part.images, points)
        closer = holds & (distance < self.distance[rows])
        self.adversarial[rows[closer]] = points[closer]
        self.distance[rows[closer]] = distance[closer]
        for row, key, is_taken in zip(rows.tolist(), keys, closer.tolist(), strict=True):
            self.winner[row] = key if is_taken else self.winner[row]

    def take_references(self) -> None:
        """For pending images, bisect to the nearest reference that passes verification."""
        pending = self.pending.nonzero().flatten()
        if not len(pending):
            return
        rows, points = nearest_of_other_classes(
            Oracle(self._part.select(pending)), _REFERENCES_TRIED
        )
        rows = pending[rows]  # each as often as it has references, the nearest first
        while len(rows):
            is_first = torch.ones_like(rows, dtype=torch.bool)
            is_first[1:] = rows[1:] != rows[:-1]
            tried = rows[is_first]
            self.offer(tried, points[is_first], [REFERENCE] * len(tried), 0.0, (1.0,))
            left = ~is_first & self.pending[rows]
            rows, points = rows[left], points[left]
        self._bisect(pending[~self.pending[pending]])

    def _bisect(self, rows: Tensor) -> None:
        """Bisect points towards their images while they pass verification."""
        part, far = self._part.select(rows), self.adversarial[rows]
        near = part.images
        for _ in range(_BISECTIONS if len(rows) else 0):
            middle = (near + far) / 2
            holds = self._verifier.holds(part.labels, middle, box=part.box)
            moved = per_row(holds, far)
            near, far = torch.where(moved, near, middle), torch.where(moved, middle, far)
        self.adversarial[rows] = far
        self.distance[rows] = distances(part.images, far)


def _made_to_hold(
    part: AttackInputs,
    points: Tensor,
    verifier: Verifier,
    smallest_margin: float,
    stretches: Sequence[float],
) -> tuple[Tensor, Tensor]:
    """The points, lengthened where they fail verification, and which of them pass, bool [n].

    An optimiser may end so close to the boundary that float32 rounding decides the class.
    """
    points = points.clone()
    holds = torch.zeros_like(part.correct)
    for stretch in stretches:
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


def _margins(part: AttackInputs, adversarial: Tensor, found: Tensor) -> Tensor:
    """Size of the margins at adversarials, as a fraction of the median clean one, [n]."""
    margin = torch.zeros(len(adversarial), dtype=torch.float64, device=adversarial.device)
    if found.any():
        logits = outputs_in_batches(part.model, adversarial[found], part.batch_size)
        margin[found] = -logit_margin(logits, part.labels[found]).double() / part.unit
    return margin

"""SuperDeepFool: DeepFool to the boundary, then straight towards it along its normal there."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.algorithms.deepfool import Boundaries, walk_to_boundary
from robench.attacks.core.base import Attack
from robench.attacks.core.losses import logit_margin
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.spec.base import Frozen

__all__ = ["SuperDeepFool"]

_PROGRESS = 1e-3
"""A round that shortens the way to the boundary by a smaller fraction is the last one."""
_FARTHEST_BEHIND = 0.05
"""How far behind the boundary a walk is taken to end at most, as a fraction of the way there."""


class SuperDeepFool(Attack):
    """Walk to the boundary, and turn the way there into the boundary's normal, again and again.

    Abdollahpoorrostami, Abroshan, Moosavi-Dezfooli 2024 (arXiv 2303.12481). The shortest way to a
    smooth boundary ends at a right angle to it, which DeepFool's does not. Each round walks to the
    boundary by DeepFool, and projects the whole displacement from the image onto the gradient that
    it finds there; the next round starts from that point.

    The paper ends when a projected point is of another class. Here rounds go on for as long as each
    shortens the way by a thousandth. They would settle a little behind the boundary, at a wrong
    angle, so that the projection also takes off how far behind the linearised boundary the walk
    ended, up to a twentieth of the way: where the logits jump, their gradient does not tell. On the
    inside of a sphere that leads from 5 % above the shortest way to 0.03 %. An image is given up
    where a walk does not reach the boundary within its steps, or finds no gradient.
    """

    name = "superdeepfool"

    class Params(Frozen):
        """How long, and over which boundaries."""

        rounds: Annotated[int, Field(ge=1)] = 20
        """Walks at most, each followed by one projection."""
        steps: Annotated[int, Field(ge=1)] = 20
        """Linearisations in each walk at most."""
        classes: Annotated[int, Field(ge=2)] = 10
        """How many classes compete, the image's own included."""
        overshoot: Annotated[float, Field(ge=0)] = 0.02
        """The sum of the steps of each walk is lengthened by this fraction."""
        steepening: Annotated[float, Field(ge=1)] | None = 2.0
        """How much a slope may grow unseen, as in DeepFool; `None` computes every rival."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Rounds for the images that still get closer."""
        boundaries = Boundaries(oracle, self.params.classes, self.params.steepening)
        closest = torch.full_like(oracle.best_distance, torch.inf)
        points, rows = oracle.starts, oracle.rows
        for _ in range(self.params.rounds):
            rows, points = walk_to_boundary(
                boundaries, points, rows, steps=self.params.steps, overshoot=self.params.overshoot
            )
            distance = lengths(points - oracle.images[rows])
            progress = distance < (1 - _PROGRESS) * closest[rows]
            rows, points, distance = rows[progress], points[progress], distance[progress]
            if not len(rows):
                break
            closest[rows] = distance
            points, rows = _projected(oracle, points, rows)
        return oracle.best


def _projected(oracle: Oracle, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Each image, projected onto the boundary as it looks from its adversarial.

    Args:
        oracle: answers for the images.
        points: adversarials, float32 [m, ...].
        rows: int64 [m], the row in `images` of each.

    Returns:
        Points [k, ...] and their rows, int64 [k], without those that have no gradient.
    """
    labels = oracle.labels[rows]
    logits, gradient = oracle.gradient(points, rows, lambda logits: -logit_margin(logits, labels))
    slope = lengths(gradient)
    normal = gradient / per_row(slope, gradient)
    images = oracle.images[rows]
    along = torch.linalg.vecdot((points - images).flatten(1), normal.flatten(1))
    behind = (-logit_margin(logits, labels) / slope).minimum(_FARTHEST_BEHIND * along.abs())
    projected = oracle.clip(images + per_row(along - behind, normal) * normal)
    steep = slope > 0
    return projected[steep], rows[steep]

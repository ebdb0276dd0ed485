"""DeepFool: linearise the classifier, step over the nearest boundary, and look again."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.base import Attack
from robench.attacks.budget import Oracle, lengths, per_row
from robench.spec.base import Frozen

__all__ = ["DeepFool"]


class DeepFool(Attack):
    """Step over the nearest linearised boundary until the class changes.

    Moosavi-Dezfooli, Fawzi, Frossard 2016 (arXiv 1511.04599). As in the authors' code, only the
    classes with the largest logits compete, and 1e-4 is added to the length of each step. In the
    box, points are clipped to it while the sum of the steps is not.

    The paper's own figures change the estimated class of *all* images, without a box:
    ``DeepFool()(model, images, labels=None, box=False)``.
    """

    name = "deepfool"

    class Params(Frozen):
        """How far, and over which boundaries."""

        steps: Annotated[int, Field(ge=1)] = 50
        """Linearisations at most."""
        classes: Annotated[int, Field(ge=2)] = 10
        """How many classes compete, the image's own included."""
        overshoot: Annotated[float, Field(ge=0)] = 0.02
        """The sum of the steps is lengthened by this fraction."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """One Jacobian a step for the images that still keep their class."""
        rows = oracle.rows
        weights = self._differences(oracle)
        points = oracle.starts.clone()
        moved = points - oracle.images
        for _ in range(self.params.steps):
            logits, gradients = oracle.jacobian(points[rows], rows, weights[:, rows])
            step = _step_to_nearest(logits, gradients, weights[:, rows])
            moved[rows] += step
            points[rows] = oracle.clip(
                oracle.images[rows] + (1 + self.params.overshoot) * moved[rows]
            )
            # To ask first, without a gradient, is cheaper than a Jacobian for those that are done.
            done = oracle.is_adversarial(oracle.query(points[rows], rows), rows)
            stuck = lengths(step) == 0
            rows = rows[~(done | stuck)]
            if not len(rows):
                break
        return points

    def _differences(self, oracle: Oracle) -> Tensor:
        """Weights of `logit of a rival - logit of the own class`, [K, n, classes]."""
        own = torch.nn.functional.one_hot(oracle.labels, oracle.classes).to(oracle.logits.dtype)
        count = min(self.params.classes, oracle.classes) - 1
        rivals = oracle.logits.masked_fill(own.bool(), -torch.inf).topk(count, dim=1).indices
        others = torch.nn.functional.one_hot(rivals.T, oracle.classes).to(own.dtype)
        return others - own


def _step_to_nearest(logits: Tensor, gradients: Tensor, weights: Tensor) -> Tensor:
    """The step over the nearest linearised boundary, [n, ...]; zero where nothing leads anywhere.

    Args:
        logits: [n, classes].
        gradients: of each rival's logit minus the own one, [K, n, ...].
        weights: what makes those differences of the logits, [K, n, classes].
    """
    gaps = (weights * logits).sum(dim=2).abs()
    slopes = torch.linalg.vector_norm(gradients.flatten(2), dim=2)
    length, nearest = torch.where(slopes > 0, gaps / slopes, torch.inf).min(dim=0)
    every = torch.arange(len(logits), device=logits.device)
    gradient, slope = gradients[nearest, every], slopes[nearest, every]
    scale = torch.where(slope > 0, (length + 1e-4) / slope, 0.0)
    return per_row(scale, gradient) * gradient

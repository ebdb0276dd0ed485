"""APGD with the difference-of-logits ratio (DLR), as a minimum-norm attack by bisection."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.geometry import (
    distance_to_plane,
    into_ball,
    radius_of_box,
    unit_direction,
)
from robench.attacks.core.oracle import Oracle, per_row
from robench.attacks.core.targets import Targets
from robench.spec.base import Frozen

__all__ = ["APGD"]

_ENOUGH = 0.75
"""The step is halved if a smaller share of the steps since the last checkpoint lowered the loss."""
_ROUND = 1e-6
"""Tolerance of the radius, as a fraction: rounding may place a point outside its ball."""


class APGD(Attack):
    """Projected gradient descent with adaptive steps, in a bisection for the smallest radius.

    Croce, Hein 2020, *Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks* (arXiv 2003.01690), with the DLR as loss. The paper attacks at one fixed
    radius; here each image has its own. The first radius is the distance at which the linearised
    loss vanishes. It doubles until an adversarial is found. From then on it is the midpoint between
    the closest adversarial and the largest radius without one, and the search starts at the closest
    adversarial, projected onto the ball. An image that succeeds at a radius is not queried again
    until the next radius.

    The DLR needs three classes. With two classes the loss is the logit margin divided by the span
    of the clean logits.
    """

    name = "apgd"

    class Params(Frozen):
        """Number of radii, and of steps for each radius."""

        steps: Annotated[int, Field(ge=1)] = 20
        """Forward and backward passes at most, for each radius and target."""
        bisections: Annotated[int, Field(ge=1)] = 10
        """Number of radii."""
        targets: Annotated[int, Field(ge=0)] = 0
        """0 leaves the own class in any direction; k > 0 walks towards each of the k likeliest
        other classes, and any other class counts."""
        momentum: Annotated[float, Field(gt=0, le=1)] = 0.75
        """Weight of the new step in each move; the rest repeats the last move."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Each radius for all images in parallel; targets are separate points of the same row."""
        targets = Targets.of(oracle, self.params.targets)
        widest = radius_of_box(oracle)
        radius = distance_to_plane(
            *_evaluate(oracle, oracle.images, Targets.of(oracle, 0))
        ).minimum(widest)
        low = torch.zeros_like(radius)
        for _ in range(self.params.bisections):
            # Radii up to `low` failed, [n]. Where `low` spans the box, no larger ball is left.
            before = oracle.best_distance
            tried = targets.select(
                (low < widest)[targets.rows]
            )  # else there is no larger ball to try
            if not len(tried.rows):
                break
            self._descend(oracle, _Search.start(oracle, tried, radius[tried.rows]))
            # A closer adversarial keeps `low`; otherwise the radius that was tried has failed.
            low = torch.where(oracle.best_distance < before, low, radius)
            high = oracle.best_distance
            radius = torch.where(high.isfinite(), (low + high) / 2, (2 * radius).minimum(widest))
        return oracle.best

    def _descend(self, oracle: Oracle, search: _Search) -> None:
        """Search at one radius; the oracle records every adversarial it sees."""
        checkpoints = _checkpoints(self.params.steps)
        last = 0
        for step in range(1, self.params.steps + 1):
            # Keep the points whose image has no adversarial within the radius yet.
            search = search.select(oracle.best_distance[search.rows] > search.radius * (1 + _ROUND))
            if not len(search.rows):
                return
            search.move(oracle, self.params.momentum if step > 1 else 1.0)
            search.record(*_evaluate(oracle, search.points, search.targets))
            if step in checkpoints:
                search.adapt(step - last)
                last = step


@dataclass(eq=False)
class _Search:
    """State of the search at m points; the first axis of every tensor is m."""

    targets: Targets
    radius: Tensor
    points: Tensor
    previous: Tensor
    loss: Tensor
    gradient: Tensor
    best: Tensor
    best_loss: Tensor
    best_gradient: Tensor
    step: Tensor
    """Length of a step; twice the radius at first."""
    successes: Tensor
    """Number of steps since the last checkpoint that lowered the loss."""
    loss_at_checkpoint: Tensor
    """Lowest loss at the last checkpoint."""
    is_new_step: Tensor
    """Whether the step was halved at the last checkpoint."""

    @classmethod
    def start(cls, oracle: Oracle, targets: Targets, radius: Tensor) -> _Search:
        """Start at the closest adversarial, or else the starting point, projected onto the ball."""
        points = into_ball(oracle.best[targets.rows], oracle.images[targets.rows], radius, oracle)
        loss, gradient = _evaluate(oracle, points, targets)
        return cls(
            targets=targets,
            radius=radius,
            points=points,
            previous=points,
            loss=loss,
            gradient=gradient,
            best=points,
            best_loss=loss,
            best_gradient=gradient,
            step=2 * radius,
            successes=torch.zeros_like(targets.rows),
            loss_at_checkpoint=loss,
            is_new_step=torch.zeros_like(targets.rows, dtype=torch.bool),
        )

    @property
    def rows(self) -> Tensor:
        """The image that each point belongs to."""
        return self.targets.rows

    def select(self, wanted: Tensor) -> _Search:
        """The search of some of the points, bool [m]."""
        kept = {
            field.name: getattr(self, field.name)[wanted]
            for field in fields(self)
            if field.name != "targets"
        }
        return _Search(targets=self.targets.select(wanted), **kept)

    def move(self, oracle: Oracle, momentum: float) -> None:
        """One gradient step with momentum, projected onto the ball and the box.

        Where the gradient is zero, the step goes in a random direction.
        """
        # Length `step` along the unit gradient, [m, ...].
        move = per_row(self.step, self.points) * unit_direction(self.gradient, self.rows, oracle)
        ahead = self._inside(oracle, self.points - move)
        # ahead: z, the plain projected step. The momentum term extrapolates the last move:
        # points + momentum * (z - points) + (1 - momentum) * (points - previous).
        mixed = momentum * ahead + (1 - momentum) * (2 * self.points - self.previous)
        self.points, self.previous = self._inside(oracle, mixed), self.points

    def record(self, loss: Tensor, gradient: Tensor) -> None:
        """Record the loss and gradient at the new points."""
        self.successes = self.successes + (loss < self.loss)
        self.loss, self.gradient = loss, gradient
        lower = loss < self.best_loss
        self.best_loss = torch.where(lower, loss, self.best_loss)
        self.best = torch.where(per_row(lower, self.best), self.points, self.best)
        self.best_gradient = torch.where(per_row(lower, gradient), gradient, self.best_gradient)

    def adapt(self, steps: int) -> None:
        """Halve the step of stalled searches, and return them to their best point."""
        # Paper's two conditions: too few successful steps, or no new best since the last checkpoint
        # although the step was not halved there.
        stalled = ~self.is_new_step & (self.best_loss >= self.loss_at_checkpoint)
        halve = stalled | (self.successes < _ENOUGH * steps)
        self.step = torch.where(halve, self.step / 2, self.step)
        back = per_row(halve, self.points)
        self.points = torch.where(back, self.best, self.points)
        self.previous = torch.where(back, self.best, self.previous)
        self.gradient = torch.where(back, self.best_gradient, self.gradient)
        self.loss = torch.where(halve, self.best_loss, self.loss)
        self.successes = torch.zeros_like(self.successes)
        self.loss_at_checkpoint, self.is_new_step = self.best_loss, halve

    def _inside(self, oracle: Oracle, points: Tensor) -> Tensor:
        return into_ball(points, oracle.images[self.rows], self.radius, oracle)


def _evaluate(oracle: Oracle, points: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """The loss [m], negative where the target is reached, and its gradient [m, ...]."""
    logits, gradient = oracle.gradient(points, targets.rows, targets.ratio)
    return targets.ratio(logits), gradient


def _checkpoints(steps: int) -> set[int]:
    """Steps after which the step size is reviewed; the intervals shrink to 6 % of all steps."""
    places = [0.0, 0.22]
    while places[-1] < 1:
        places.append(places[-1] + max(places[-1] - places[-2] - 0.03, 0.06))
    return {math.ceil(round(place * steps, 6)) for place in places[1:-1]}

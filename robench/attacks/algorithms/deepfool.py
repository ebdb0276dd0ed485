"""DeepFool: minimum-norm attack by steps across the nearest linearised boundary."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.losses import likeliest_others
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.spec.base import Frozen

__all__ = ["Boundaries", "DeepFool", "walk_to_boundary"]

_STEP_MARGIN = 1e-4
"""Added to the length of each step, as in the authors' code, against rounding errors."""


class DeepFool(Attack):
    """Step across the nearest linearised boundary until the class changes.

    Moosavi-Dezfooli, Fawzi, Frossard 2016 (arXiv 1511.04599). As in the authors' code, only the
    classes with the largest logits compete, and 1e-4 is added to the length of each step. In the
    box, points are clipped, but the accumulated perturbation is not.

    The paper's own figures change the estimated class of *all* images, without a box:
    ``DeepFool()(model, images, labels=None, box=False)``.

    The paper computes the gradient of every rival class at every step, although the nearest
    boundary rarely changes. Here a rival is skipped in a step if it could not be the nearest even
    if its slope had grown by the factor `steepening` since it was last computed. Where a slope is
    found to have grown by more, the assumption is wrong: every rival of that image is computed from
    that step on. On LeNets trained on MNIST this needs a fifth of the backward passes and changes
    no distance (the largest growth was 1.5-fold).
    """

    name = "deepfool"

    class Params(Frozen):
        """Number of steps, and the classes that compete."""

        steps: Annotated[int, Field(ge=1)] = 50
        """Maximum number of linearisations."""
        classes: Annotated[int, Field(ge=2)] = 10
        """Number of classes that compete, the image's own included."""
        overshoot: Annotated[float, Field(ge=0)] = 0.02
        """Fraction by which the accumulated perturbation is lengthened."""
        steepening: Annotated[float, Field(ge=1)] | None = 2.0
        """Assumed bound on the growth of a slope; `None` computes every rival at every step."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Run DeepFool for all images in parallel; the oracle records where each one ends."""
        boundaries = Boundaries(oracle, self.params.classes, self.params.steepening)
        walk_to_boundary(
            boundaries,
            oracle.starts,
            oracle.rows,
            steps=self.params.steps,
            overshoot=self.params.overshoot,
        )
        return oracle.best


def walk_to_boundary(
    boundaries: Boundaries, starts: Tensor, rows: Tensor, *, steps: int, overshoot: float
) -> tuple[Tensor, Tensor]:
    """Run DeepFool from given starting points.

    Args:
        boundaries: of the images that the points belong to.
        starts: float32 [m, ...].
        rows: int64 [m], the row in the oracle's images of each start; no row repeats.
        steps: maximum number of linearisations.
        overshoot: fraction by which the accumulated perturbation is lengthened.

    Returns:
        Rows, int64 [k], of the runs that became adversarial, in no particular order, and their end
        points, float32 [k, ...]. The others ran out of steps, or met a zero gradient.
    """
    oracle = boundaries.oracle
    arrived = [(rows[:0], starts[:0])]
    points, moved = starts, torch.zeros_like(starts)
    for _ in range(steps):
        logits, gradient, scale = boundaries.nearest(points, rows)
        crossed = oracle.is_adversarial(logits, rows)
        # Runs end where the class has changed, or where no rival has a gradient (scale 0).
        goes_on = ~crossed & (scale > 0)
        if not goes_on.all():
            arrived.append((rows[crossed], points[crossed]))
            rows, starts, moved = rows[goes_on], starts[goes_on], moved[goes_on]
            gradient, scale = gradient[goes_on], scale[goes_on]
        if not len(rows):
            break
        # Minimal step to the linearised boundary, |gap| / |w|² * w with w the gradient, [m, ...].
        moved = torch.addcmul(moved, per_row(scale, gradient), gradient)
        points = oracle.clip(torch.add(starts, moved, alpha=1 + overshoot))
    else:
        crossed = oracle.is_adversarial(oracle.query(points, rows), rows)
        arrived.append((rows[crossed], points[crossed]))
    arrived_rows, arrived_points = zip(*arrived, strict=True)
    return torch.cat(arrived_rows), torch.cat(arrived_points)


class Boundaries:
    """The linearised boundaries between the class of each image and its likeliest rivals.

    Args:
        oracle: answers for the images.
        classes: how many compete, the image's own included.
        steepening: how much a slope may grow unseen, from 1; `None` computes every rival each time.
    """

    def __init__(self, oracle: Oracle, classes: int, steepening: float | None) -> None:
        self.oracle = oracle
        count = min(classes, oracle.classes) - 1
        rivals = likeliest_others(oracle.logits, oracle.labels, count)
        own = F.one_hot(oracle.labels, oracle.classes)
        # Weights of the K differences `rival logit - own logit`, [K, n, classes].
        self._weights = (F.one_hot(rivals.T, oracle.classes) - own).to(oracle.logits.dtype)
        growth = torch.inf if steepening is None else steepening
        self._growth = oracle.logits.new_full((len(oracle.labels),), growth)
        # Upper bound of the gradient norm of each difference, [K, n]; infinite where unknown.
        self._steepest = oracle.logits.new_full(self._weights.shape[:2], torch.inf)
        self._nearest = torch.zeros_like(oracle.labels)

    def nearest(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The nearest linearised boundary at some points.

        Args:
            points: float32 [m, ...].
            rows: int64 [m]; no row repeats.

        Returns:
            Logits [m, classes]; the gradient of the nearest rival's logit minus the own one,
            [m, ...]; and the factor that turns it into the step across the boundary, [m]: zero
            where every gradient is zero. At adversarial points the choice of the rival is not
            meaningful.
        """
        known = self._steepest[:, rows].isfinite().all(dim=0)
        if known.all():
            return self._among_possible(points, rows)
        if not known.any():
            return self._among_all(points, rows)
        some = self._among_possible(points[known], rows[known])
        rest = self._among_all(points[~known], rows[~known])
        order = torch.cat([known.nonzero(), (~known).nonzero()]).flatten().argsort()
        logits, gradient, scale = (torch.cat(both)[order] for both in zip(some, rest, strict=True))
        return logits, gradient, scale

    def _among_all(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradient of every rival."""
        # gradients [K, m, ...], slopes = |w_k| [K, m], gaps = |f_k| [K, m].
        weights = self._weights[:, rows]
        logits, gradients = self.oracle.jacobian(points, rows, weights)
        slopes = torch.linalg.vector_norm(gradients.flatten(2), dim=2)
        nearest, scale = self._settle(rows, _gaps(logits, weights), slopes)
        return logits, gradients[nearest, torch.arange(len(rows), device=rows.device)], scale

    def _among_possible(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradients of the last nearest rival, and of those that could be nearer."""
        # Columns of `every` are points; `last` is the nearest rival of the previous step, [m].
        weights, steepest = self._weights[:, rows], self._steepest[:, rows]
        last, every = self._nearest[rows], torch.arange(len(rows), device=rows.device)
        logits, gradient = self._gradients(points, rows, weights[last, every])
        gaps = _gaps(logits, weights)
        slopes = torch.zeros_like(gaps)
        slopes[last, every] = lengths(gradient)
        distance = _distances(gaps, slopes)[last, every]
        # gap / steepest is a lower bound of the distance of a rival. It can only be nearer than the
        # last nearest one if that bound is below `distance`, [K, m].
        possible = (gaps < distance * steepest) & ~self.oracle.is_adversarial(logits, rows)
        possible[last, every] = False
        rivals, places = possible.nonzero(as_tuple=True)
        if len(places):
            _, others = self._gradients(points[places], rows[places], weights[rivals, places])
            slopes[rivals, places] = lengths(others)
        nearest, scale = self._settle(rows, gaps, slopes)
        if len(places):
            nearer = nearest[places] == rivals
            gradient[places[nearer]] = others[nearer]
        # Images where the assumed bound of a slope was exceeded: compute every rival from now on.
        (broken,) = (slopes > steepest).any(dim=0).nonzero(as_tuple=True)
        if len(broken):
            self._growth[rows[broken]] = torch.inf
            logits[broken], gradient[broken], scale[broken] = self._among_all(
                points[broken], rows[broken]
            )
        return logits, gradient, scale

    def _gradients(self, points: Tensor, rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return self.oracle.gradient(points, rows, lambda logits: (weights * logits).sum(dim=1))

    def _settle(self, rows: Tensor, gaps: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """Record the slopes; return the nearest rival, [m], and the factor of its gradient, [m].

        Args:
            rows: int64 [m].
            gaps: absolute differences of the logits, [K, m].
            slopes: gradient norms, [K, m]; zero where they were not computed.
        """
        bounds = torch.where(slopes > 0, self._growth[rows] * slopes, self._steepest[:, rows])
        self._steepest[:, rows] = bounds
        length, nearest = _distances(gaps, slopes).min(dim=0)
        self._nearest[rows] = nearest
        slope = slopes.gather(0, nearest[None])[0]
        # The step has length (distance + margin) along w / |w|, which is this factor times w.
        return nearest, torch.where(slope > 0, (length + _STEP_MARGIN) / slope, 0.0)


def _gaps(logits: Tensor, weights: Tensor) -> Tensor:
    """Absolute differences between the logits of each rival and the own class, [K, m]."""
    return (weights * logits).sum(dim=2).abs()


def _distances(gaps: Tensor, slopes: Tensor) -> Tensor:
    """Distance |f_k| / |w_k| of each linearised boundary, [K, m]; infinite if the gradient is 0."""
    return torch.where(slopes > 0, gaps / slopes, torch.inf)

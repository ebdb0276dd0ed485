"""ALMA: minimum-norm attack by an augmented Lagrangian."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.geometry import distance_to_plane, radius_of_box, unit_direction
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.attacks.core.targets import Targets
from robench.spec.base import Frozen

__all__ = ["ALMA"]

_CHECKED_EVERY, _IMPROVEMENT, _GROWTH = 10, 0.95, 1.2
"""Every 10 steps the penalty weight grows by 1.2, unless the constraint fell to 95 % of its last
reviewed value or an adversarial is known."""
_SMALLEST, _LARGEST = 1e-6, 1e12
"""Range of the multipliers."""
_LAST_STEP = 0.01
"""Fraction to which the step size decays, from the step that found the first adversarial on."""
_RETURN_EVERY = 10
"""Interval, in steps, at which the second half restarts from the closest adversarial."""


class ALMA(Attack):
    """Minimise the distance plus a penalty whose multiplier adapts to each image.

    Rony, Granger, Pedersoli, Ben Ayed 2021, *Augmented Lagrangian Adversarial Attacks*
    (arXiv 2011.11857): the constraint is a negative difference-of-logits ratio (DLR), the penalty
    function is P2, and the multipliers are an exponential moving average of the penalty's slope.

    This implementation departs from the paper in two ways. First, RMSProp (with momentum) keeps one
    mean square per image instead of one per pixel. The update keeps the direction of the gradient,
    and the length of the first step is the distance to the linearised boundary, independent of the
    number of pixels. Second, in the second half of the steps the search returns to the closest
    adversarial every few steps. With discontinuous activations the decision boundary consists of
    pieces, and an optimiser that leaves a close piece may not find it again. Together the two
    changes reduced the mean distance by more than 10 % on an MLP that keeps a tenth of its
    activations; on a ReLU MLP they made little difference.

    Images do not influence each other: in a batch of the same shape, an image ends at the same
    point bit by bit, whatever the other images. In a batch of another shape the kernels sum in
    another order. The first steps are long, so this rounding may decide in which of several local
    minima an image ends. Measured with batches of 8 instead of one batch: the distance changed by
    more than 0.1 % for 6 % of the images of an MLP with 64 pixels, and for 15 % of an adversarially
    trained CNN. The largest changes were 3 % and 5 % (12 % on another network), and the means
    changed by 0.1 % and 0.2 %.
    """

    name = "alma"

    class Params(Frozen):
        """Number of steps, targets and step size."""

        steps: Annotated[int, Field(ge=1)] = 300
        """Forward and backward passes, for each target."""
        targets: Annotated[int, Field(ge=0)] = 0
        """0 leaves the own class in any direction; k > 0 walks towards each of the k likeliest
        other classes, and any other class counts."""
        alpha: Annotated[float, Field(ge=0, lt=1)] = 0.9
        """Smoothing of multipliers and of squared gradients, and the share of the velocity kept."""
        first_step: Annotated[float, Field(gt=0)] = 1.0
        """Length of the first step, as a multiple of the distance to the linearised boundary."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Optimise all targets of an image in parallel, as separate points of the same row."""
        steps = self.params.steps
        targets = Targets.of(oracle, self.params.targets)
        rows, images = targets.rows, oracle.images[targets.rows]
        lagrangian = _Lagrangian(images, self.params.alpha)
        descent = _Descent(images, self.params.alpha)
        closest = _Closest(images, steps)
        moved = oracle.starts[rows] - images
        for step in range(steps):
            logits, gradient = oracle.gradient(
                images + moved, rows, lambda logits: lagrangian.penalty(targets.ratio(logits))
            )
            # values [m]: the constraint, the DLR of the class; negative where adversarial.
            distance, values = lengths(moved), targets.ratio(logits)
            closest.update(step, moved, distance, oracle.is_adversarial(logits, rows))
            if step == 0:
                # The gradient is slope * d values/dx, so that slope * values / |gradient| is the
                # distance to the linearised boundary, [m]. No step is longer than the box.
                plane = distance_to_plane(lagrangian.slope(values) * values, gradient)
                descent.length = self.params.first_step * plane.minimum(radius_of_box(oracle)[rows])
                # A zero gradient at the image becomes a random direction.
                gradient = unit_direction(gradient, rows, oracle)
            lagrangian.update(step, values, closest.found)
            # Gradient of the Lagrangian, [m, ...]: that of |x - x0| is the unit vector to x.
            gradient = gradient + moved / per_row(_positive(distance), moved)
            if 2 * step >= steps and step % _RETURN_EVERY == 0:
                moved = torch.where(per_row(closest.found, moved), closest.moved, moved)
                descent.stop(closest.found)
            # The step size decays exponentially from the first adversarial of each point on.
            moved = moved + descent.step(gradient, _LAST_STEP ** closest.progress(step))
            moved = oracle.clip(images + moved) - images
        return oracle.best


class _Lagrangian:
    """Multiplier and penalty weight of each point."""

    def __init__(self, images: Tensor, alpha: float) -> None:
        self._alpha = alpha
        self._multiplier = images.new_ones(len(images))
        self._weight = images.new_ones(len(images))
        self._reference: Tensor | None = None

    def penalty(self, values: Tensor) -> Tensor:
        """P2 of the constraint's values, [m]."""
        return _penalty(values, self._weight, self._multiplier)

    def slope(self, values: Tensor) -> Tensor:
        """Derivative of the penalty by the constraint's values, [m]."""
        return _slope(values, self._weight, self._multiplier)

    def update(self, step: int, values: Tensor, found: Tensor) -> None:
        """Move the multipliers towards the slope; raise the weight where the constraint stalls."""
        # Exponential moving average, [m]: alpha * old + (1 - alpha) * slope.
        self._multiplier = (
            self.slope(values).lerp(self._multiplier, self._alpha).clamp(_SMALLEST, _LARGEST)
        )
        if step % _CHECKED_EVERY == 0:
            if self._reference is not None:
                stuck = ~found & (values >= _IMPROVEMENT * self._reference)
                self._weight = torch.where(stuck, _GROWTH * self._weight, self._weight)
            self._reference = values


class _Descent:
    """RMSProp with momentum and one mean square per image.

    Attributes:
        length: step length for a gradient whose norm equals the running root mean square, [m].
    """

    def __init__(self, images: Tensor, alpha: float) -> None:
        self.length = images.new_ones(len(images))
        self._alpha = alpha
        self._square: Tensor | None = None
        self._velocity = torch.zeros_like(images)

    def step(self, gradient: Tensor, decay: Tensor) -> Tensor:
        """The displacement of each point, [m, ...]; `decay` [m] scales it."""
        # Running mean of the squared gradient norms, [m].
        square = lengths(gradient).square()
        if self._square is not None:
            square = square.lerp(self._square, self._alpha)
        self._square = square
        scaled = gradient / per_row(_positive(square).sqrt(), gradient)
        self._velocity = self._alpha * self._velocity + scaled
        return -per_row(self.length * decay, gradient) * self._velocity

    def stop(self, points: Tensor) -> None:
        """Set the velocity of some points to zero; bool [m]."""
        self._velocity = self._velocity.masked_fill(per_row(points, self._velocity), 0.0)


class _Closest:
    """The closest adversarial of each point; each target of an image has its own.

    Attributes:
        moved: the closest adversarial minus the image, [m, ...]; zero where there is none.
        found: whether there is one, bool [m].
    """

    def __init__(self, images: Tensor, steps: int) -> None:
        self._steps = steps
        self._distance = images.new_full((len(images),), torch.inf)
        self._since = torch.full_like(self._distance, steps)
        self.moved = torch.zeros_like(images)

    @property
    def found(self) -> Tensor:
        return self._distance.isfinite()

    def progress(self, step: int) -> Tensor:
        """Elapsed share of the steps that remained at the first adversarial, in [0, 1], [m]."""
        left = (self._steps - self._since).clamp_min(1)
        return (step - self._since).clamp_min(0) / left

    def update(self, step: int, moved: Tensor, distance: Tensor, adversarial: Tensor) -> None:
        closer = adversarial & (distance < self._distance)
        self._since = torch.where(adversarial & ~self.found, step, self._since)
        self._distance = torch.where(closer, distance, self._distance)
        self.moved = torch.where(per_row(closer, moved), moved, self.moved)


def _penalty(values: Tensor, weight: Tensor, multiplier: Tensor) -> Tensor:
    """P2 of Birgin, Castillo, Martínez 2005: a cubic above zero, a hyperbola below it."""
    above, below = values.clamp_min(0), values.clamp_max(0)
    cubic = multiplier * above * (1 + weight * above) + (weight * above).square() * above / 6
    return cubic + multiplier * below / (1 - weight * below)


def _slope(values: Tensor, weight: Tensor, multiplier: Tensor) -> Tensor:
    """Derivative of the penalty by the values."""
    above, below = values.clamp_min(0), values.clamp_max(0)
    growth = 2 * multiplier * weight * above + (weight * above).square() / 2
    return growth + multiplier / (1 - weight * below).square()


def _positive(values: Tensor) -> Tensor:
    return values.clamp_min(torch.finfo(values.dtype).tiny)

"""ALMA: an augmented Lagrangian settles how much distance a misclassification is worth."""

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
"""Every so many steps the penalty grows by a factor where the constraint is not down to 95 %."""
_SMALLEST, _LARGEST = 1e-6, 1e12
"""Range of the multipliers."""
_LAST_STEP = 0.01
"""The step size decays to this fraction, from where the first adversarial was found."""
_RETURN_EVERY = 10
"""In the second half, the search goes on from the closest adversarial every so many steps."""


class ALMA(Attack):
    """Descend distance plus a penalty whose multiplier is learnt for each image.

    Rony, Granger, Pedersoli, Ben Ayed 2021, *Augmented Lagrangian Adversarial Attacks*
    (arXiv 2011.11857): the constraint is a negative difference-of-logits ratio, its penalty is P2,
    and multipliers follow the slope of the penalty, smoothed over steps.

    Two things are ours. RMSProp, with momentum, keeps one mean square for an image rather than one
    for each pixel: the direction stays that of the gradient, and the length of the first step is
    the distance to the linearised boundary, whatever the number of pixels. And in the second half
    of the steps the search returns to the closest adversarial again and again. Where activations
    jump, the boundary lies in pieces, and what was close once may not be met again: in an MLP that
    keeps a tenth of its activations both together took a tenth and more off the mean distance;
    in one of ReLUs they changed little.

    Nothing of an image enters the search of another: among other companions, in a batch of the same
    shape, it ends at the same point, bit by bit. In a batch of another shape the kernels add up in
    another order, and since the search makes long steps at first, that rounding may decide in which
    of several minima an image ends up. In batches of 8 rather than all together, 6 % of the images
    changed their distance by more than 0.1 % in an MLP of 64 pixels, and 15 % in an adversarially
    trained CNN, single ones by 3 % and 5 % (12 % were seen elsewhere), and the means by 0.1 % and
    0.2 %.
    """

    name = "alma"

    class Params(Frozen):
        """How long, towards what, and how fast."""

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
        """All targets of an image at once, as separate points of the same row."""
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
            distance, values = lengths(moved), targets.ratio(logits)
            closest.update(step, moved, distance, oracle.is_adversarial(logits, rows))
            if step == 0:
                plane = distance_to_plane(lagrangian.slope(values) * values, gradient)
                descent.length = self.params.first_step * plane.minimum(radius_of_box(oracle)[rows])
                gradient = unit_direction(gradient, rows, oracle)
            lagrangian.update(step, values, closest.found)
            gradient = gradient + moved / per_row(_positive(distance), moved)
            if 2 * step >= steps and step % _RETURN_EVERY == 0:
                moved = torch.where(per_row(closest.found, moved), closest.moved, moved)
                descent.stop(closest.found)
            moved = moved + descent.step(gradient, _LAST_STEP ** closest.progress(step))
            moved = oracle.clip(images + moved) - images
        return oracle.best


class _Lagrangian:
    """The penalty of each point, and what it has learnt of its multiplier."""

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
        """Move the multiplier towards the slope, and raise the weight where nothing gets better."""
        self._multiplier = (
            self.slope(values).lerp(self._multiplier, self._alpha).clamp(_SMALLEST, _LARGEST)
        )
        if step % _CHECKED_EVERY == 0:
            if self._reference is not None:
                stuck = ~found & (values >= _IMPROVEMENT * self._reference)
                self._weight = torch.where(stuck, _GROWTH * self._weight, self._weight)
            self._reference = values


class _Descent:
    """Momentum, and steps divided by the root mean square of the gradients' lengths so far.

    Attributes:
        length: of a step along a gradient of that mean length, [m].
    """

    def __init__(self, images: Tensor, alpha: float) -> None:
        self.length = images.new_ones(len(images))
        self._alpha = alpha
        self._square: Tensor | None = None
        self._velocity = torch.zeros_like(images)

    def step(self, gradient: Tensor, decay: Tensor) -> Tensor:
        """How far each point moves, [m, ...]; `decay` [m] shortens it."""
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
    """The closest adversarial of each point, which other targets of its image do not share.

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
        """How much of the steps since the first adversarial are over, in [0, 1], [m]."""
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

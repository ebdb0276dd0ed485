"""Asking again under other conditions: what flips back was rounding, not an adversarial."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from robench.attacks.problem import BOX_TOLERANCE, Problem, is_wrong, outputs_in_batches

__all__ = ["Verifier"]

_OTHER_BATCH = 8
"""Images in one pass of the check: the kernels of small batches add up in another order."""


class Verifier:
    """Checks adversarials with another batch size and in double precision.

    Bisection to the last bit makes points that are adversarial in one batch and not in another.
    A point counts only if float32 in small batches and float64 agree that the class has changed.

    Args:
        model: what the points are adversarial for.
        example: images that the model takes, [N, ...].
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._model = model
        self._double: nn.Module | None = None
        try:
            double = copy.deepcopy(model).double()
            outputs_in_batches(double, example[:1].double(), 1)
            self._double = double
        except Exception:  # noqa: BLE001 - a model may refuse float64 in any way it likes
            self._double = None

    @property
    def in_double(self) -> bool:
        """Whether the model could be run in float64; if not, float32 has to do."""
        return self._double is not None

    def holds(self, problem: Problem, points: Tensor) -> Tensor:
        """Which points are adversarial for the images of `problem`, bool [n].

        Args:
            problem: images [n, ...] and labels.
            points: float32 [n, ...].
        """
        batch_size = _OTHER_BATCH if len(points) > _OTHER_BATCH else 1
        holds = points.isfinite().flatten(1).all(dim=1)
        if problem.box:
            inside = (points >= -BOX_TOLERANCE) & (points <= 1 + BOX_TOLERANCE)
            holds &= inside.flatten(1).all(dim=1)
        holds &= is_wrong(outputs_in_batches(self._model, points, batch_size), problem.labels)
        if self._double is not None:
            logits = outputs_in_batches(self._double, points.double(), 4 * _OTHER_BATCH)
            holds &= is_wrong(logits, problem.labels)
        return holds

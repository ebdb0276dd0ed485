"""Keeping an eye on a run: what the loss does, whether it diverges, how far the run is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from robench.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from robench.methods.base import TrainState

__all__ = ["Progress", "Watch", "check_loss", "check_weights"]

Progress: TypeAlias = Callable[[int, int, float], None]
"""Called with the steps done, the steps in all, and the loss."""

_LOSSES_KEPT = 100
_PROGRESS_INTERVAL_S = 0.25
_REMEDY = "lower `learning_rate`, or let it rise over `warmup_steps`"


class Watch:
    """Looks at the loss now and then: on a GPU every look waits for the device.

    Args:
        budget: steps of the run.
        progress: called a few times a second at most, and at the last step.

    Attributes:
        losses: the loss at step 0, at up to a hundred steps at even distances, and at the last.
    """

    def __init__(self, budget: int, progress: Progress | None) -> None:
        self.losses: list[float] = []
        self._every = math.ceil(budget / _LOSSES_KEPT)
        self._progress = progress
        self._told_at = -math.inf

    def see(self, state: TrainState, loss: Tensor) -> None:
        """Take note of the loss of the present step.

        Raises:
            TrainingError: it is not finite.
        """
        is_last = state.step == state.budget - 1
        if state.step % self._every == 0 or is_last:
            self.losses.append(check_loss(state, loss))
        if self._progress is not None:
            now = time.perf_counter()
            if is_last or now - self._told_at >= _PROGRESS_INTERVAL_S:
                self._told_at = now
                self._progress(state.step + 1, state.budget, loss.item())


def check_loss(state: TrainState, loss: Tensor) -> float:
    """The loss as a number.

    Raises:
        TrainingError: it is not finite; names the step and the learning rate.
    """
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(
            f"training diverged: the loss is {value} at step {state.step} of {state.budget}, at a "
            f"learning rate of {state.learning_rate:g}",
            hint=_REMEDY,
        )
    return value


def check_weights(state: TrainState) -> None:
    """Make sure that the last step has left the network in order.

    Raises:
        TrainingError: a weight or a running statistic is not finite; names the tensor.
    """
    for name, tensor in state.model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise TrainingError(
                f"training diverged: {name!r} is not finite after {state.step} steps, at a last "
                f"learning rate of {state.learning_rate:g}",
                hint=_REMEDY,
            )

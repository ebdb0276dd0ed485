"""Going back to an earlier state of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from robench.methods.base import TrainState

__all__ = ["Snapshot"]


class Snapshot:
    """A network and its optimiser as they are now: weights, BatchNorm statistics, momentum.

    The clock of the run and the order of its batches go on.
    """

    def __init__(self, state: TrainState) -> None:
        self._tensors = [tensor.detach().clone() for tensor in _tensors(state.model)]
        self._optimiser = _copied(state.optimiser.state)

    def restore(self, state: TrainState) -> None:
        """Put everything back, in place; as often as one likes."""
        with torch.no_grad():
            for tensor, kept in zip(_tensors(state.model), self._tensors, strict=True):
                tensor.copy_(kept)
        state.optimiser.state.clear()
        state.optimiser.state.update(_copied(self._optimiser))


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _copied(state: Mapping[Tensor, Mapping[str, object]]) -> dict[Tensor, dict[str, object]]:
    """What an optimiser keeps of each parameter, with its tensors copied."""
    return {
        parameter: {
            key: value.clone() if isinstance(value, Tensor) else value
            for key, value in kept.items()
        }
        for parameter, kept in state.items()
    }

"""Keeping removed filters and neurons silent.

A filter whose weights are zero still answers with its bias, and a BatchNorm behind it with its
shift. Compaction can take out what is constantly zero without a trace, so that methods that remove
whole units hold these at zero too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from robench.models.chain import Layer

__all__ = ["Silence"]


class Silence:
    """Biases and BatchNorm parameters of removed units, to be held at zero."""

    def __init__(self) -> None:
        self._held: list[tuple[Tensor, Tensor]] = []

    def add(self, layer: Layer, removed: Tensor) -> None:
        """Hold what adds to the removed units of a layer.

        Args:
            layer: a layer of a chain, with the BatchNorm behind it.
            removed: bool [units], true at the units that are gone.
        """
        norm = layer.batch_norm
        for tensor in (layer.module.bias, *((norm.weight, norm.bias) if norm else ())):
            if tensor is not None:  # a BatchNorm behind a flatten has several values a filter
                self.hold(tensor, removed.repeat_interleave(len(tensor) // len(removed)))

    def hold(self, tensor: Tensor, removed: Tensor) -> None:
        """Hold single values of a bias, or of a BatchNorm's weight or bias.

        Args:
            tensor: what to hold, [values].
            removed: bool [values], true at those that are to be zero.
        """
        self._held.append((tensor, removed))

    def apply(self) -> None:
        """Set all of it to zero, in place; call it after every step."""
        with torch.no_grad():
            for tensor, removed in self._held:
                tensor.masked_fill_(removed, 0.0)

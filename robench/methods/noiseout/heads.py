"""Outputs beside the real ones, whose targets are noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["NoiseHeads", "Targets", "binomial_targets", "constant_targets", "gaussian_targets"]

Targets = Callable[[Sequence[int], torch.Generator], Tensor]
"""A shape and a generator on the CPU → targets of that shape, on the CPU."""


class NoiseHeads:
    """Linear outputs that read what the output layer reads, with targets drawn anew each time.

    The network itself is left alone but for a hook on its output layer, which `remove` takes off.

    Args:
        output: the output layer.
        outputs: number of noise outputs, K.
        targets: draws their targets.
        generator: of the initial weights and of the targets, on the CPU.
    """

    def __init__(
        self, output: nn.Linear, outputs: int, targets: Targets, generator: torch.Generator
    ) -> None:
        self._targets = targets
        self._generator = generator
        self._read: Tensor | None = None
        bound = 1 / math.sqrt(output.in_features)
        start = torch.empty(outputs, output.in_features)
        start.uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(start.to(output.weight))
        self.bias = nn.Parameter(self.weight.new_zeros(outputs))
        self._hook = output.register_forward_pre_hook(self._keep)

    @property
    def parameters(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Weight [K, inputs of the output layer] and bias [K]."""
        return self.weight, self.bias

    def loss(self) -> Tensor:
        """Mean squared error of the noise outputs of the last forward pass, a scalar.

        The mean is over the batch and over the outputs.
        """
        if self._read is None:
            raise RuntimeError("the network has not run since the noise outputs were added")
        predicted = F.linear(self._read, self.weight, self.bias)
        targets = self._targets(predicted.shape, self._generator)
        return F.mse_loss(predicted, targets.to(predicted))

    def remove(self) -> None:
        """Take the hook off the network."""
        self._hook.remove()
        self._read = None

    def _keep(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._read = inputs[0]


def gaussian_targets(mean: float, std: float) -> Targets:
    """Normally distributed targets."""

    def draw(shape: Sequence[int], generator: torch.Generator) -> Tensor:
        return torch.randn(tuple(shape), generator=generator).mul_(std).add_(mean)

    return draw


def binomial_targets(probability: float) -> Targets:
    """Targets that are 1 with that probability, and else 0."""

    def draw(shape: Sequence[int], generator: torch.Generator) -> Tensor:
        # Four times faster than bernoulli_ on a CPU.
        return torch.rand(tuple(shape), generator=generator).lt_(probability)

    return draw


def constant_targets(value: float) -> Targets:
    """Targets that are always that value."""
    return lambda shape, _: torch.full(tuple(shape), value)

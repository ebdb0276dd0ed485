"""What the lasso and its kin share: who is penalised, the proximal step, and how far it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from robench.methods.base import TrainState

__all__ = [
    "PenaltyScope",
    "gradient_of",
    "negligible_share",
    "penalised",
    "reach",
    "why_not",
]

PenaltyScope = Literal["conv", "all"]
"""``all``: weights and biases of convolutions and Linear layers; ``conv``: of the former alone."""

NEGLIGIBLE = 1e-4
"""Share of a layer's squared norm that is negligible: without it the layer is 1 % off."""


def penalised(model: nn.Module, scope: PenaltyScope) -> dict[str, nn.Parameter]:
    """Weights and biases of the layers in scope, by qualified name; never those of BatchNorm.

    A weight that layers share is named once.
    """
    kinds = (nn.Conv2d,) if scope == "conv" else (nn.Conv2d, nn.Linear)
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if isinstance(model.get_submodule(name.rpartition(".")[0]), kinds)
    }


def why_not(model: nn.Module, scope: PenaltyScope) -> Literal[True] | str:
    """For `Method.supports`: `True`, or that there is nothing in scope."""
    if penalised(model, scope):
        return True
    if scope == "conv":
        return "there is no convolution to penalise; take `scope: all`"
    return "there is no convolution or Linear layer to penalise"


def reach(state: TrainState) -> float:
    """By how much a penalty of slope 1 moves a weight in each step once it is in full swing.

    Momentum μ lengthens what a gradient does from the learning rate to lr / (1 - μ). A proximal
    step, which has no momentum of its own, must be that long to weigh the penalty against the loss
    as the penalty's gradient would: SGD settles where gradient / (1 - μ) and threshold / lr agree.
    """
    return state.learning_rate / (1 - state.momentum)


def gradient_of(weight: nn.Parameter) -> Tensor:
    """What one may add to: the gradient, made of zeros where the loss has left none."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def negligible_share(weights: Mapping[str, Tensor]) -> float:
    """How sparse a network is that was trained to be sparse, but has few exact zeros, in [0, 1].

    SGD on a penalty with a kink leaves dead weights to chatter about zero. Counted is, in every
    layer, how many of the smallest weights together hold at most a ten-thousandth of its squared
    norm, zeros included: without them the layer changes by 1 % in the Frobenius norm. There is no
    scale in this, and nothing but the weights is needed. A layer of normally distributed weights
    comes to 0.06.

    Args:
        weights: name → weight of one layer.
    """
    negligible = 0
    for weight in weights.values():
        # NumPy sorts several times faster than torch.
        ordered = np.sort(weight.detach().abs().cpu().numpy(), axis=None)
        energy = np.cumsum(ordered.astype(np.float64) ** 2)
        negligible += int(np.searchsorted(energy, NEGLIGIBLE * energy[-1], side="right"))
    return negligible / sum(weight.numel() for weight in weights.values())

"""The optimiser of a recipe, by the fastest kernels that torch has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

    from robench.spec.recipe import Recipe

__all__ = ["optimiser"]

_FUSED_ON = ("cpu", "cuda")


def optimiser(model: nn.Module, recipe: Recipe, learning_rate: float) -> torch.optim.Optimizer:
    """An optimiser for all parameters of a network, on the device that they are on.

    Args:
        model: the network.
        recipe: its `optimiser`, `momentum` and `weight_decay` count.
        learning_rate: of the first step.
    """
    parameters = list(model.parameters())
    settings: dict[str, Any] = {"lr": learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "rmsprop":
        return torch.optim.RMSprop(parameters, momentum=recipe.momentum, **settings)
    # One pass over memory where the default takes three (SGD) or more than ten (Adam).
    settings["fused"] = all(parameter.device.type in _FUSED_ON for parameter in parameters)
    chosen: torch.optim.Optimizer
    if recipe.optimiser == "adam":
        chosen = torch.optim.Adam(parameters, betas=(recipe.momentum, 0.999), **settings)
    else:
        chosen = torch.optim.SGD(parameters, momentum=recipe.momentum, **settings)
    chosen.register_step_pre_hook(_settle)
    return chosen


def _settle(chosen: torch.optim.Optimizer, *_: object) -> None:
    """See to what the fused kernels take for granted.

    They walk through memory, whatever the strides, so that a gradient which a method has laid out
    otherwise than its weight would end up on the wrong weights. And SGD's fail where parameters
    have their first gradients at different steps, since some then have momentum and some do not;
    momentum that starts at zero is the same as none.
    """
    for group in chosen.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            if parameter.grad.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
            if group.get("momentum") and chosen.state[parameter].get("momentum_buffer") is None:
                chosen.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

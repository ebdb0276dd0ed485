"""Makes layers and BatchNorms smaller in place, as a plan says; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from robench.compaction.plan import LayerPlan

__all__ = ["shrink", "shrink_batch_norm", "shrink_layer"]


def shrink(model: nn.Module, plans: list[LayerPlan]) -> None:
    """Take the units that go out of `model`, a copy of the network that was planned for.

    Args:
        model: changed in place; same structure and precision as the planned network.
        plans: one a layer, see :func:`robench.compaction.plan.plan_compaction`.
    """
    for plan in plans:
        layer = model.get_submodule(plan.layer.name)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _add_to_bias(layer, plan.bias_shift)
            if not (plan.kept.all() and plan.inputs_kept.all()):
                shrink_layer(layer, plan.kept, plan.inputs_kept)
        if plan.link is None or plan.kept.all():
            continue
        for norm in plan.link.norms:
            module = model.get_submodule(norm.name)
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                shrink_batch_norm(module, plan.kept.repeat_interleave(norm.block))


def shrink_layer(layer: nn.Conv2d | nn.Linear, units: Tensor, inputs: Tensor) -> None:
    """Keep the rows `units` and the columns `inputs` of a layer; both are bool.

    A convolution must not be grouped.
    """
    _replace(layer, "weight", layer.weight[units][:, inputs])
    if layer.bias is not None:
        _replace(layer, "bias", layer.bias[units])
    outputs, reads = int(units.sum()), int(inputs.sum())
    if isinstance(layer, nn.Conv2d):
        layer.out_channels, layer.in_channels = outputs, reads
    else:
        layer.out_features, layer.in_features = outputs, reads


def shrink_batch_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d, features: Tensor) -> None:
    """Keep the channels `features` (bool) of a BatchNorm."""
    for name in ("weight", "bias"):
        if getattr(norm, name) is not None:
            _replace(norm, name, getattr(norm, name)[features])
    for name in ("running_mean", "running_var"):
        if getattr(norm, name) is not None:
            setattr(norm, name, getattr(norm, name)[features].clone())
    norm.num_features = int(features.sum())


def _add_to_bias(layer: nn.Conv2d | nn.Linear, shift: Tensor) -> None:
    if not shift.any():
        return
    if layer.bias is None:
        layer.bias = nn.Parameter(shift.clone(), requires_grad=layer.weight.requires_grad)
    else:
        _replace(layer, "bias", layer.bias + shift)


def _replace(module: nn.Module, name: str, value: Tensor) -> None:
    """A new parameter in the place of an old one, as trainable as it was."""
    old = module.get_parameter(name)
    with torch.no_grad():
        parameter = nn.Parameter(value.detach().clone(), requires_grad=old.requires_grad)
    setattr(module, name, parameter)

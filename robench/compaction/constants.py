"""Which channels never vary, whatever the input.

A unit is constant when all its weights from channels that vary are zero, and a channel stays
constant through every step that treats it by itself. What the constant is, is read off the network
as it runs on one input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from robench.compaction.operations import padding_amounts
from robench.errors import CompactionError

if TYPE_CHECKING:
    from torch import Tensor, fx

    from robench.compaction.trace import Traced

__all__ = ["blocks", "constant_channels", "is_uniform", "is_zero", "pads_with_zeros"]

_UNIFORM = 1e-12
"""A constant map that was pooled or normalised is constant up to rounding in double precision."""


def constant_channels(traced: Traced) -> dict[fx.Node, Tensor]:
    """For each step bool [channels] on the CPU: the channels that no input changes."""
    found: dict[fx.Node, Tensor] = {}
    for node in traced.nodes:
        if traced.kinds[node] not in ("form", "output"):
            found[node] = _of_step(traced, node, [found[read] for read in traced.reads(node)])
    return found


def blocks(layer: nn.Conv2d | nn.Linear) -> Tensor:
    """The weight as [G, units / G, inputs / G, kernel positions]: G separate convolutions."""
    weight = layer.weight.detach()
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)


def is_uniform(value: Tensor) -> Tensor:
    """Bool [channels]: whether a channel has one value everywhere on its map.

    Args:
        value: [1, C, …].
    """
    flat = value.reshape(value.shape[1], -1)
    spread = flat.amax(1) - flat.amin(1)
    return (spread <= _UNIFORM * flat.abs().amax(1).clamp(min=1.0)).cpu()


def pads_with_zeros(layer: nn.Conv2d | nn.Linear) -> bool:
    """Whether the border of a constant map looks different to the kernel than its middle."""
    if not isinstance(layer, nn.Conv2d):
        return False
    if layer.padding_mode != "zeros" or layer.padding == "valid":
        return False
    if layer.padding == "same":
        return any(size > 1 for size in layer.kernel_size)
    return any(size != 0 for size in layer.padding)


def _of_step(traced: Traced, node: fx.Node, read: list[Tensor]) -> Tensor:
    kind, value = traced.kinds[node], traced.values[node]
    if kind == "layer":
        return _of_layer(traced.layer(node), read[0])
    if kind == "norm":
        return read[0] | _silenced(traced.parts[str(node.target)])
    if kind == "each":
        return read[0]
    if kind == "flatten":
        return read[0].repeat_interleave(value.shape[1] // len(read[0]))
    if kind == "sum":
        return read[0] & read[-1]
    if kind == "product":
        first, second = (
            constant & is_zero(traced.values[other])
            for constant, other in zip(read, traced.reads(node), strict=True)
        )
        return (read[0] & read[-1]) | first | second  # nothing times anything is nothing
    if kind == "concatenate":
        return torch.cat(read)
    if kind == "pad":
        before, after = padding_amounts(node)[4:]
        return F.pad(read[0], (before, after), value=True)
    channels = value.shape[1] if value.ndim > 1 else 0
    return torch.full((channels,), kind == "constant")


def _of_layer(layer: nn.Conv2d | nn.Linear, inputs_constant: Tensor) -> Tensor:
    weight = blocks(layer)
    if inputs_constant.numel() != weight.shape[0] * weight.shape[2]:
        raise CompactionError(
            f"a {type(layer).__name__} of {weight.shape[0] * weight.shape[2]} inputs reads "
            f"{inputs_constant.numel()} channels"
        )
    varies = ~inputs_constant.to(weight.device).view(weight.shape[0], 1, -1, 1)
    reads = ((weight != 0) & varies).flatten(2).any(2)
    return ~reads.flatten().cpu()


def is_zero(value: Tensor) -> Tensor:
    """Bool [channels]: whether there is nothing but zeros in a channel of [1, C, …]."""
    return (value == 0).reshape(value.shape[1], -1).all(1).cpu()


def _silenced(module: nn.Module) -> Tensor:
    """Channels that a BatchNorm multiplies by zero."""
    if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        raise TypeError(f"{type(module).__name__} is no BatchNorm")
    if not module.affine:
        return torch.zeros(module.num_features, dtype=torch.bool)
    return (module.weight.detach() == 0).cpu()

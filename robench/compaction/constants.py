"""Constant propagation: which channels do not depend on the input, and which are uniform.

A unit is constant if all its weights from varying channels are zero, and a channel stays constant
through every channel-wise step. A channel is uniform if it has one value for all pixels at all
image sizes; padding gives a uniform channel a border. Both are propagated through the steps. The
value of the constant is taken from a run on one input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from robench.compaction.spatial import border_value
from robench.errors import CompactionError
from robench.graph.axes import by_channel, flattened
from robench.graph.calls import channel_padding, padding_amounts
from robench.graph.operations import Transposed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, fx

    from robench.graph.operations import Weighted
    from robench.graph.trace import Traced

__all__ = [
    "FIXED",
    "UNIFORM",
    "VARIES",
    "blocks",
    "constancy",
    "is_uniform",
    "is_zero",
    "level_read",
]

VARIES = 0
"""A channel that depends on the input."""
FIXED = 1
"""A channel that is the same for every input of one size, but may have a border."""
UNIFORM = 2
"""A channel with one value, the same for all pixels at every image size."""

_UNIFORM = 1e-12
"""Relative tolerance: pooling and normalising a constant round it in float64."""


def constancy(traced: Traced, *, one_size: bool = False) -> dict[fx.Node, Tensor]:
    """For each step int8 [channels] on the CPU: VARIES, FIXED or UNIFORM.

    Args:
        traced: the network, float64.
        one_size: whether the network is used at the traced image size only: then a channel is
            uniform if its traced values are.
    """
    found: dict[fx.Node, Tensor] = {}
    for node in traced.nodes:
        if traced.kinds[node] in ("form", "output"):
            continue
        level = _of_step(traced, node, found)
        if node in traced.overwritten:  # the recorded value is not what later steps read
            level = _full(len(level), VARIES)
        value = traced.values[node]
        if one_size and isinstance(value, torch.Tensor) and value.ndim > 1:
            is_even = is_uniform(value, traced.axes[node])
            level = level.where((level < FIXED) | ~is_even, _full(len(level), UNIFORM))
        found[node] = level
    return found


def level_read(traced: Traced, node: fx.Node, found: Mapping[fx.Node, Tensor]) -> Tensor:
    """The level of each channel that a layer reads.

    Args:
        traced: the network.
        node: a layer's step.
        found: what :func:`constancy` gives.
    """
    if traced.fits(node):
        return found[traced.reads(node)[0]]
    return _full(traced.read(node).shape[traced.axes[node]], VARIES)


def blocks(layer: Weighted) -> Tensor:
    """The weight as [G, units / G, inputs / G, kernel positions]: G separate convolutions."""
    weight = layer.weight.detach()
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    if isinstance(layer, Transposed):  # [inputs, units / G, …]
        own = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
        return own.transpose(1, 2)
    return weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)


def is_uniform(value: Tensor, axis: int = 1) -> Tensor:
    """Bool [channels]: whether a channel has one value everywhere on its map.

    Args:
        value: [1, C, …], or with its channels in another dimension.
        axis: the dimension of the channels.
    """
    flat = by_channel(value, axis)
    if flat.shape[1] == 0:
        return torch.ones(len(flat), dtype=torch.bool)
    spread = flat.amax(1) - flat.amin(1)
    return (spread <= _UNIFORM * flat.abs().amax(1).clamp(min=1.0)).cpu()


def _of_step(traced: Traced, node: fx.Node, found: Mapping[fx.Node, Tensor]) -> Tensor:
    kind, value = traced.kinds[node], traced.values[node]
    read = [found[one] for one in traced.reads(node)]
    if kind == "layer":
        return _of_layer(traced, node, found)
    if kind == "norm":
        return read[0].where(~_zeroed(traced, node), UNIFORM)
    if kind == "each":
        return _with_border(traced, node, read[0])
    if kind == "flatten":
        return flattened(read[0], traced.read(node).shape, traced.axes[traced.reads(node)[0]])
    if kind in ("sum", "product", "concatenate"):
        return _joined(traced, node, read)
    if kind in ("split", "piece"):
        return traced.pieces(node, read[0])
    if kind == "pad":
        behind = value.ndim - 1 - traced.axes[node]
        before, after = channel_padding(padding_amounts(node), behind)
        return F.pad(_with_border(traced, node, read[0]), (before, after), value=UNIFORM)
    if kind == "constant":
        is_even = all(size == 1 for size in value.shape[2:])
        return _full(value.shape[1], UNIFORM if is_even else FIXED)
    return _full(traced.channels(node), VARIES)


def _of_layer(traced: Traced, node: fx.Node, found: Mapping[fx.Node, Tensor]) -> Tensor:
    layer, read = traced.layer(node), level_read(traced, node, found)
    weight = blocks(layer)
    if read.numel() != weight.shape[0] * weight.shape[2]:
        raise CompactionError(
            f"{node.name!r}, a {type(layer).__name__} of {weight.shape[0] * weight.shape[2]} "
            f"inputs, reads {read.numel()} channels",
            where=str(node.target),
            hint="the original is unchanged; please report the network",
        )
    own = _with_border(traced, node, read).to(weight.device)
    own = own.view(weight.shape[0], 1, -1).expand(weight.shape[:3])
    least = own.where((weight != 0).any(3), UNIFORM).amin(2)
    return least.flatten().cpu()


def _with_border(traced: Traced, node: fx.Node, read: Tensor) -> Tensor:
    """Levels after a step that pads with some value: constants of another value get a border."""
    outside = border_value(traced, node)
    if outside is None:
        return read
    (source,) = traced.reads(node)
    axis = traced.axes[node if traced.kinds[node] == "layer" else source]
    differs = (by_channel(traced.values[source], axis) != outside).any(1).cpu()
    return read.where(~differs, read.clamp(max=FIXED))


def _joined(traced: Traced, node: fx.Node, read: list[Tensor]) -> Tensor:
    if traced.kinds[node] == "concatenate":
        return torch.cat(read)
    least = torch.minimum(read[0], read[-1])
    if traced.kinds[node] == "sum":
        return least
    # Zero times anything is zero.
    for level, factor in zip(read, traced.reads(node), strict=True):
        is_zero_factor = is_zero(traced.values[factor], traced.axes[factor])
        least = least.where(~is_zero_factor, torch.maximum(least, level))
    return least


def _full(count: int, level: int) -> Tensor:
    return torch.full((count,), level, dtype=torch.int8)


def is_zero(value: Tensor, axis: int = 1) -> Tensor:
    """Bool [channels]: whether a channel of [1, C, …] is all zeros.

    Args:
        value: the tensor.
        axis: the dimension of its channels.
    """
    return (by_channel(value, axis) == 0).all(1).cpu()


def _zeroed(traced: Traced, node: fx.Node) -> Tensor:
    """Channels that a BatchNorm multiplies by zero."""
    weight = traced.norm_tensor(node, "weight")
    if weight is None:
        return torch.zeros(traced.channels(node), dtype=torch.bool)
    return (weight.detach() == 0).cpu()

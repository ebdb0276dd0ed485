"""Removes units from layers and BatchNorms in place, as a plan says."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robench.compaction.constants import blocks
from robench.compaction.graph_edits import Edit, apply_edits, free_name
from robench.graph.axes import by_channel
from robench.graph.calls import channel_padding, cut_sizes, padding_amounts
from robench.graph.norms import NUM_FEATURES
from robench.graph.operations import Transposed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import fx

    from robench.compaction.pruning_plan import LayerPlan, Plan
    from robench.graph.norms import Norm
    from robench.graph.operations import Weighted
    from robench.graph.trace import Traced

__all__ = ["count_features", "shrink", "shrink_layer"]

_WORTH_COPYING = 8
"""Least number of multiply-accumulates saved per number that a selection copies."""
_WORTH_SELECTING = 2**16
"""Least number of multiply-accumulates saved per input. A selection is one more step: this is what
one CPU thread computes in the microseconds that torch needs to start a step."""


def shrink(traced: Traced, plan: Plan) -> list[Edit]:
    """Remove units from a network.

    Args:
        traced: changed in place.
        plan: units to remove.

    Returns:
        The edits of its graph.
    """
    buffers: dict[str, Tensor] = {}
    edits: list[Edit] = []

    def store(prefix: str, tensor: Tensor) -> str:
        name = free_name(traced.module, prefix, taken=buffers)
        buffers[name] = tensor
        return name

    for layer in plan.layers:
        inputs, axis = layer.inputs_kept, traced.axes[layer.node]
        if _is_worth_selecting(traced, layer):
            inputs = inputs & ~layer.unread
            places = _places(inputs[layer.inputs_kept], layer.shift)
            source = traced.reads(layer.node)[0].name
            buffer = store("selected", places)
            edits.append(Edit("select", layer.node.name, source, buffer, axis=axis))
        if not (layer.kept.all() and inputs.all()):
            shrink_layer(layer.layer, layer.kept, inputs)
        if layer.shift.ndim > 2:
            shift = layer.shift.index_select(axis, _places(layer.kept, layer.shift))
            edits.append(Edit("add", layer.node.name, buffer=store("constant", shift)))
        else:
            _add_to_bias(layer.layer, layer.shift[0, layer.kept])
    _shrink_between(traced, plan)
    edits += _narrower_paddings(traced, plan)
    edits += _other_cuts(traced, plan)
    apply_edits(traced.module, edits, buffers)
    return edits


def _places(chosen: Tensor, like: Tensor) -> Tensor:
    """Indices of the chosen channels, on the device of `like`."""
    return chosen.nonzero().flatten().to(like.device)


def _shrink_between(traced: Traced, plan: Plan) -> None:
    """Shrink BatchNorms, and constants that replaced branches."""
    shrunk: set[str] = set()
    for node, sets in plan.coupling.of.items():
        kept = plan.needed[sets]
        if kept.all():
            continue
        if traced.kinds[node] == "norm" and (norm := traced.norm(node)).name not in shrunk:
            _shrink_norm(traced.parts[norm.name], norm, kept, in_place=node.op != "call_module")
            shrunk.add(norm.name)
        elif traced.kinds[node] == "constant":
            # The traced network shares this tensor, so it must change in place.
            stored = traced.module.get_buffer(str(node.target))
            stored.data = stored[:, kept].clone()


def _narrower_paddings(traced: Traced, plan: Plan) -> Iterator[Edit]:
    """Edits of shortcuts that pad with zero channels: fewer channels now."""
    for node, sets in plan.coupling.of.items():
        if traced.kinds[node] != "pad":
            continue
        kept, amounts = plan.needed[sets], padding_amounts(node)
        behind = traced.values[node].ndim - 1 - traced.axes[node]
        before, after = channel_padding(amounts, behind)
        left = int(kept[:before].sum()), int(kept[len(kept) - after :].sum())
        if left != (before, after):
            others = amounts[: 2 * behind], amounts[2 * behind + 2 :]
            yield Edit("pad", node.name, padding=(*others[0], *left, *others[1]))


def _other_cuts(traced: Traced, plan: Plan) -> Iterator[Edit]:
    """Edits of splits whose pieces lost different numbers of channels."""
    for node in traced.nodes:
        if traced.kinds[node] != "split" or node.target is operator.getitem:
            continue
        kept = plan.needed[plan.coupling.of[node]]
        sizes = tuple(int(own.sum()) for own in torch.split(kept, traced.piece_sizes(node)))
        if not kept.all() and sizes != cut_sizes(node, int(kept.sum())):
            yield Edit("split", node.name, sizes=sizes, axis=traced.axes[node])


def shrink_layer(layer: Weighted, units: Tensor, inputs: Tensor) -> None:
    """Keep the units and inputs of a layer where the masks are true.

    All groups of a grouped convolution must keep equally many of each, or none.
    """
    weight = blocks(layer)
    own_units, own_inputs = units.view(weight.shape[0], -1), inputs.view(weight.shape[0], -1)
    is_there = (own_units.any(1) | own_inputs.any(1)).nonzero().flatten().tolist()
    smaller = torch.cat(
        [weight[group, own_units[group]][:, own_inputs[group]] for group in is_there]
    )
    if isinstance(layer, Transposed):
        # [units, inputs / G, …] to [inputs, units / G, …]
        smaller = torch.cat([own.transpose(0, 1) for own in smaller.chunk(len(is_there))])
    _replace(layer, "weight", smaller.reshape(*smaller.shape[:2], *layer.weight.shape[2:]))
    if layer.bias is not None:
        _replace(layer, "bias", layer.bias[units])
    outputs, reads = int(units.sum()), int(inputs.sum())
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = outputs, reads
    else:
        layer.out_channels, layer.in_channels, layer.groups = outputs, reads, len(is_there)


def _shrink_norm(module: nn.Module, norm: Norm, features: Tensor, *, in_place: bool) -> None:
    """Keep the channels `features` (bool) of a BatchNorm.

    For a functional BatchNorm, the module is a container of torch.fx that shares its tensors with
    the traced network, so they change in place.
    """
    for name in norm.tensors:
        tensor: Tensor = getattr(module, name)
        smaller = tensor.detach()[features].clone()
        if in_place:
            tensor.data = smaller
        elif isinstance(tensor, nn.Parameter):
            _replace(module, name, smaller)
        else:
            setattr(module, name, smaller)
    if not in_place:
        setattr(module, NUM_FEATURES, int(features.sum()))


def count_features(network: nn.Module, traced: Traced) -> None:
    """Have modules whose BatchNorm a function computes say how many channels are left.

    Args:
        network: what was traced.
        traced: its graph, after the surgery.
    """
    for node in traced.nodes:
        if traced.kinds[node] == "norm" and node.op == "call_function":
            norm = traced.norm(node)
            module = network.get_submodule(norm.name)
            if isinstance(getattr(module, NUM_FEATURES, None), int):
                setattr(module, NUM_FEATURES, len(getattr(module, norm.tensors[0])))


def _is_worth_selecting(traced: Traced, plan: LayerPlan) -> bool:
    """Whether inputs that nothing reads cost more than copying the others out.

    Only inputs of the network are looked at: the channels between layers go at their source.
    """
    selected = plan.inputs_kept & ~plan.unread
    is_grouped = getattr(plan.layer, "groups", 1) > 1
    if is_grouped or not selected.any() or _comes_from_layer(traced, plan.node):
        return False
    read, written = (
        by_channel(value[:1], traced.axes[plan.node]).shape[1]
        for value in (traced.read(plan.node), traced.values[plan.node])
    )
    kernel = plan.layer.weight[0, 0].numel()
    saved = int(plan.unread.sum()) * int(plan.kept.sum()) * kernel * written
    return saved >= max(_WORTH_SELECTING, _WORTH_COPYING * int(selected.sum()) * read)


def _comes_from_layer(traced: Traced, node: fx.Node) -> bool:
    """Whether a layer lies between the network's input and this step."""
    waiting = traced.reads(node)
    while waiting:
        step = waiting.pop()
        if traced.kinds[step] == "layer":
            return True
        waiting += traced.reads(step)
    return False


def _add_to_bias(layer: Weighted, shift: Tensor) -> None:
    if not shift.any():
        return
    if layer.bias is None:
        layer.bias = nn.Parameter(shift.clone(), requires_grad=layer.weight.requires_grad)
    else:
        _replace(layer, "bias", layer.bias + shift)


def _replace(module: nn.Module, name: str, value: Tensor) -> None:
    """Replace a parameter; `requires_grad` is kept."""
    old = module.get_parameter(name)
    with torch.no_grad():
        parameter = nn.Parameter(value.detach().clone(), requires_grad=old.requires_grad)
    setattr(module, name, parameter)

"""The form in which a network would be deployed, quicker for dense and compacted networks alike.

BatchNorm in evaluation mode is one scale and one offset a channel, which the layer before it can
take over. Rectifiers need no memory of their own. Maps lie in one of two ways, whichever is quicker
for the network: with the channels of one pixel side by side, so that the library's convolutions
read whole vectors of them, and those of few filters and max pooling have quicker forms still
(:mod:`robench.compaction.narrow`); or as planes, one channel after the other, where convolutions
have kernels of their own (:mod:`robench.compaction.planar`). Each is taken where it was measured to
be. It is a form of its own, never put in another's place.
"""

from __future__ import annotations

import copy
import operator
from typing import TYPE_CHECKING

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from robench.compaction.checks import check_example, check_network, precision_of
from robench.compaction.columns import undo_columns
from robench.compaction.narrow import quickest_forms
from robench.compaction.operations import BatchNorm, Weighted
from robench.compaction.planar import take_quickest
from robench.compaction.proof import prove_equal
from robench.compaction.quickest import quickest, timed
from robench.compaction.trace import traced_copy
from robench.errors import NotApplicableError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["inference_form"]

_IDLE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_IMAGES = 4
"""Dimensions of a batch of images."""
_SLACK = 0.05
"""Share of its time that the network may lose with one input, for gains with a batch."""


def inference_form(model: nn.Module, example: Tensor) -> nn.Module:
    """Fold BatchNorm, rectify in place, give maps and layers the form in which they are quickest.

    The result computes the same function and has the same input gradients, which is proven on
    `example` and on random inputs as :func:`robench.compact` does. Where pixels that are pooled are
    exactly equal, the gradient of their maximum may be shared between them. What is quickest was
    measured on one thread, for images of this size; kernels compute no others, torch does then.

    Args:
        model: in evaluation mode, float32 or float64; it stays as it is.
        example: real inputs, [N, …] as the network takes them, N ≥ 1; forms are timed with one of
            them and with all.

    Raises:
        InputError: the network is in training mode, or does not take the example.
        NotApplicableError: it has neither BatchNorm nor a convolution, or cannot be traced.
        CompactionError: layers share a weight, or the form is not equal; names the layer.
    """
    check_network(model)
    precision = precision_of(model)
    with torch.inference_mode(mode=False):
        inputs = check_example(model, example).double()
        original = copy.deepcopy(model).double()
        module = traced_copy(undo_columns(copy.deepcopy(original)))
        _leave_out_idle(module)
        folded = _fold(module)
        names = [str(node.target) for node in module.graph.nodes if node.op == "call_module"]
        parts = {name: module.get_submodule(name) for name in names}
        convolutions = [name for name, part in parts.items() if isinstance(part, nn.Conv2d)]
        if not folded and not convolutions:
            raise NotApplicableError("there is neither a BatchNorm to fold nor a convolution")
        _rectify_in_place(module)
        changed = folded
        if inputs.ndim == _IMAGES and convolutions:
            module, taken = _quickest_layout(module, inputs.to(precision))
            changed = folded | taken
        # What a layer writes that took a BatchNorm over cannot be compared by its name.
        same = {
            name: torch.ones(len(part.weight), dtype=torch.bool)
            for name, part in parts.items()
            if isinstance(part, nn.Conv2d | nn.Linear) and name not in changed
        }
        prove_equal(original, module.eval(), same, inputs)
    return module.to(precision)


def _quickest_layout(planar: fx.GraphModule, example: Tensor) -> tuple[fx.GraphModule, set[str]]:
    """The network in the layout that is quicker; layers that took steps behind them along."""
    last = copy.deepcopy(planar)
    _put_channels_last(last)
    _take_narrow_forms(last, example)
    taken = take_quickest(planar, example)
    layouts = {"channels last": last, "planar": planar}
    forms = {name: copy.deepcopy(own).to(example.dtype).eval() for name, own in layouts.items()}
    seconds = timed(forms, example)
    slack_s = _SLACK * seconds["channels last"][0]
    if quickest(seconds, slack_s, least_gain=1.0) == "planar":
        return planar, taken
    return last, set()


def _put_channels_last(module: fx.GraphModule) -> None:
    """Hand the first convolutions their maps with channels last, and lay all filters out alike.

    What convolutions write then lies likewise. What comes before them is left as it is: steps over
    three channels are slow where these lie last.
    """
    parts, behind = dict(module.named_modules()), set[fx.Node]()
    for node in list(module.graph.nodes):
        is_conv = node.op == "call_module" and isinstance(parts[str(node.target)], nn.Conv2d)
        if is_conv and behind.isdisjoint(node.all_input_nodes):
            (maps,) = node.all_input_nodes
            with module.graph.inserting_before(node):
                turned = module.graph.call_method(
                    "contiguous", (maps,), {"memory_format": torch.channels_last}
                )
            node.replace_input_with(maps, turned)
        if is_conv or not behind.isdisjoint(node.all_input_nodes):
            behind.add(node)
    module.recompile()
    for part in (parts[name] for name in _called(module)):
        if isinstance(part, nn.Conv2d):
            # Not `contiguous`: filters of one channel lie either way, and would stay as they are.
            part.weight.data = part.weight.data.to(memory_format=torch.channels_last)


def _leave_out_idle(module: fx.GraphModule) -> None:
    """Leave out steps that do nothing in evaluation mode."""
    parts = dict(module.named_modules())
    for node in list(module.graph.nodes):
        if node.op == "call_module" and isinstance(parts[str(node.target)], _IDLE):
            node.replace_all_uses_with(node.all_input_nodes[0])
            module.graph.erase_node(node)
    module.delete_all_unused_submodules()
    module.recompile()


def _rectify_in_place(module: fx.GraphModule) -> None:
    """Have a rectifier write over what a layer or a sum made for it alone."""
    parts = dict(module.named_modules())
    for name, part in parts.items():
        if type(part) is nn.ReLU:
            calls = [node for node in module.graph.nodes if node.target == name]
            part.inplace = all(_is_made_for(node, parts) for node in calls)


def _is_made_for(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    (source,) = node.all_input_nodes
    if source.op == "call_module":
        is_new = isinstance(parts[str(source.target)], Weighted | BatchNorm)
    else:
        is_new = source.target in (operator.add, torch.add)
    return is_new and len(source.users) == 1


def _take_narrow_forms(module: fx.GraphModule, example: Tensor) -> None:
    """Give layers the forms that are the quickest in the precision of the example."""
    found = quickest_forms(copy.deepcopy(module).to(example.dtype), example)
    for name in found.keys() & _called(module):
        module.set_submodule(name, found[name](module.get_submodule(name)).eval())


def _called(module: fx.GraphModule) -> set[str]:
    """Names of the modules that are steps of the graph, not parts of such a step."""
    return {str(node.target) for node in module.graph.nodes if node.op == "call_module"}


def _fold(module: fx.GraphModule) -> set[str]:
    """Fold each BatchNorm that alone reads a layer, in place; names of these layers."""
    parts = dict(module.named_modules())
    folded: set[str] = set()
    for node in list(module.graph.nodes):
        norm = parts.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_mean is None:
            continue
        (source,) = node.all_input_nodes
        layer = parts.get(str(source.target)) if source.op == "call_module" else None
        if len(source.users) > 1:
            continue
        if isinstance(layer, nn.Conv2d):
            module.set_submodule(str(source.target), fuse_conv_bn_eval(layer, norm))
        elif isinstance(layer, nn.Linear):
            module.set_submodule(str(source.target), fuse_linear_bn_eval(layer, norm))
        else:
            continue
        node.replace_all_uses_with(source)
        module.graph.erase_node(node)
        folded.add(str(source.target))
    module.delete_all_unused_submodules()
    module.recompile()
    return folded

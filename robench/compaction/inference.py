"""The form in which a network would be deployed: BatchNorm folded, channels last in memory.

BatchNorm in evaluation mode is one scale and one offset a channel, which the layer before it can
take over. With the channels of one pixel side by side in memory, convolutions read whole vectors of
them, and max pooling compares whole vectors: on one CPU thread this makes dense and compacted
networks alike up to twice as quick. It is a form of its own, never put in another's place.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from robench.compaction.checks import check_example, check_network, precision_of
from robench.compaction.proof import prove_equal
from robench.compaction.trace import traced_copy
from robench.errors import NotApplicableError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["inference_form"]

_IMAGES = 4
"""Dimensions of a batch of images."""


def inference_form(model: nn.Module, example: Tensor) -> nn.Module:
    """Fold BatchNorm into the layers before it, and keep channels last in memory.

    The result computes the same function and has the same input gradients, which is proven on
    `example` and on random inputs as :func:`robench.compact` does.

    Args:
        model: in evaluation mode, float32 or float64; it stays as it is.
        example: real inputs, [N, …] as the network takes them, N ≥ 1.

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
        module = traced_copy(copy.deepcopy(original))
        folded = _fold(module)
        names = [str(node.target) for node in module.graph.nodes if node.op == "call_module"]
        parts = {name: module.get_submodule(name) for name in names}
        convolutions = [part for part in parts.values() if isinstance(part, nn.Conv2d)]
        if not folded and not convolutions:
            raise NotApplicableError("there is neither a BatchNorm to fold nor a convolution")
        if inputs.ndim == _IMAGES:
            _put_channels_last(module, convolutions)
        # What a layer writes that took a BatchNorm over cannot be compared by its name.
        same = {
            name: torch.ones(len(part.weight), dtype=torch.bool)
            for name, part in parts.items()
            if isinstance(part, nn.Conv2d | nn.Linear) and name not in folded
        }
        prove_equal(original, module.eval(), same, inputs)
    return module.to(precision)


def _put_channels_last(module: fx.GraphModule, convolutions: list[nn.Conv2d]) -> None:
    """Hand images on with their channels last, and lay the filters out alike."""
    (images,) = (node for node in module.graph.nodes if node.op == "placeholder")
    with module.graph.inserting_after(images):
        turned = module.graph.call_method(
            "contiguous", (images,), {"memory_format": torch.channels_last}
        )
    images.replace_all_uses_with(turned, delete_user_cb=lambda user: user is not turned)
    module.recompile()
    for conv in convolutions:
        # Not `contiguous`: filters of one channel lie either way, and would stay as they are.
        conv.weight.data = conv.weight.data.to(memory_format=torch.channels_last)


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

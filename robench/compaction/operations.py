"""What each step of a traced network does to channels, as far as compaction must know.

A channel (of maps [N, C, H, W] or of rows [N, C]) can only be taken out where every step that it
meets treats each channel by itself. This file knows which steps do.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import fx, nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "BatchNorm",
    "Kind",
    "Weighted",
    "is_batch_norm",
    "is_layer",
    "kind_of",
    "padding_amounts",
    "words",
]

Weighted = nn.Conv2d | nn.Linear
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d

_MAPS = 4
"""Dimensions of a batch of maps."""

Kind = Literal[
    "input",  # the network's input
    "layer",  # a plain Conv2d of maps [N, C, H, W] or Linear of rows [N, F]
    "norm",  # a BatchNorm
    "each",  # treats each channel by itself: activations, pooling, dropout
    "flatten",  # maps to rows, channel after channel
    "sum",  # adds or subtracts two tensors of the same channels, or a number
    "product",  # multiplies two such tensors
    "concatenate",  # along the channels
    "pad",  # puts channels of zeros before and after those that it reads
    "constant",  # a tensor that compaction put in the place of a branch
    "form",  # a size or a type, no activations
    "output",
    "other",  # may do anything: no channel of what it reads or writes can go
]


def kind_of(node: fx.Node, parts: dict[str, nn.Module], values: dict[fx.Node, Any]) -> Kind:
    """What a step does to channels.

    Args:
        node: the step.
        parts: the network's modules by qualified name.
        values: what each step gave when the network ran on one input.
    """
    if node.op == "placeholder":
        return "input"
    if node.op == "output":
        return "output"
    value = values.get(node)
    if not isinstance(value, torch.Tensor):
        return "form"
    if node.op == "get_attr":
        return "constant" if str(node.target).startswith("constant_") else "other"
    if node.op == "call_module":
        return _kind_of_module(parts[str(node.target)], values[node.all_input_nodes[0]])
    return _kind_of_function(node, values)


def is_layer(module: nn.Module | None) -> bool:
    """Whether this is a plain Conv2d or Linear; a subclass may do anything."""
    return type(module) in (nn.Conv2d, nn.Linear)


def is_batch_norm(module: nn.Module | None) -> bool:
    """Whether this is a plain BatchNorm of rows or maps."""
    return type(module) in (nn.BatchNorm1d, nn.BatchNorm2d)


def words(node: fx.Node, parts: dict[str, nn.Module]) -> str:
    """A step as people read it."""
    if node.op == "call_module":
        return f"{str(node.target)!r} ({type(parts[str(node.target)]).__name__})"
    return f"{node.name!r} (a function)"


def _kind_of_module(module: nn.Module, read: Tensor) -> Kind:
    if is_layer(module):
        return "layer" if read.ndim == (_MAPS if isinstance(module, nn.Conv2d) else 2) else "other"
    if is_batch_norm(module):
        return "norm"
    if isinstance(module, nn.Flatten):
        return "flatten" if (module.start_dim, module.end_dim) == (1, -1) else "other"
    if isinstance(module, nn.PReLU):
        return "each" if module.num_parameters == 1 else "other"
    return "each" if type(module) in _MODULES else "other"


def _kind_of_function(node: fx.Node, values: dict[fx.Node, Any]) -> Kind:
    target = node.target
    if target in _SUMS:
        return _joined("sum", node, values)
    if target in _PRODUCTS:
        return _joined("product", node, values)
    if target in (torch.cat, torch.concat):
        return "concatenate" if _axis(node) == 1 else "other"
    if _is_flatten(node):
        return "flatten"
    if target in _FUNCTIONS or (node.op == "call_method" and target in _METHODS):
        return "each"
    if target in (torch.mean, "mean") and _is_over_maps(node, values):
        return "each"
    if target is operator.getitem:
        return "each" if _is_within_maps(node.args[1]) else "other"
    if target is F.pad:
        return _kind_of_padding(node, values)
    return "other"


def _joined(kind: Kind, node: fx.Node, values: dict[fx.Node, Any]) -> Kind:
    """Of two tensors only where their channels stand side by side."""
    read = [values[other] for other in node.all_input_nodes]
    if not all(isinstance(value, torch.Tensor) for value in read) or len(node.args) != 2:
        return "other"
    if len(read) == 1:
        return "each"
    is_aligned = len({(value.ndim, value.shape[1:2]) for value in read}) == 1
    return kind if is_aligned and not node.kwargs else "other"


def _axis(node: fx.Node) -> object:
    return _argument(node, 1, "dim", 0)


def _is_over_maps(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Whether a mean is taken over height and width alone."""
    axes = _argument(node, 1, "dim", None)
    read = values[node.all_input_nodes[0]]
    if not isinstance(axes, list | tuple) or read.ndim != _MAPS:
        return False
    return {int(axis) % 4 for axis in axes} == {2, 3}


def _is_within_maps(places: object) -> bool:
    """Whether ``x[places]`` takes part of each map, of all images and all channels."""
    if not isinstance(places, tuple) or not all(isinstance(one, slice | int) for one in places):
        return False
    return len(places) > 2 and places[:2] == (slice(None), slice(None))


def padding_amounts(node: fx.Node) -> tuple[int, ...]:
    """By how much an ``F.pad`` pads before and after each dimension, the last dimension first."""
    amounts = _argument(node, 1, "pad", ())
    if not isinstance(amounts, list | tuple):
        raise TypeError(f"{node.name} pads by {amounts!r}")
    return tuple(int(amount) for amount in amounts)


def _kind_of_padding(node: fx.Node, values: dict[fx.Node, Any]) -> Kind:
    """Each map by itself, or by maps of zeros: the shortcut of a residual network that widens."""
    if len(node.all_input_nodes) != 1 or values[node.all_input_nodes[0]].ndim != _MAPS:
        return "other"
    across = padding_amounts(node)[4:]
    if not any(across):
        return "each"
    is_zeros = _argument(node, 2, "mode", "constant") == "constant"
    is_zeros = is_zeros and not _argument(node, 3, "value", None)
    return "pad" if is_zeros and len(across) == 2 and min(across) >= 0 else "other"


def _argument(node: fx.Node, place: int, name: str, default: object) -> object:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _is_flatten(node: fx.Node) -> bool:
    """Whether the step lays everything but the batch in one row, whatever the width."""
    arguments = (*node.args[1:], *node.kwargs.values())
    if node.target is torch.flatten or node.target == "flatten":
        return arguments in ((1,), (1, -1))
    if node.target in ("view", "reshape"):
        return _is_batch_and_rest(arguments)
    return False


def _is_batch_and_rest(arguments: tuple[Any, ...]) -> bool:
    """``x.view(x.size(0), -1)``: a width written as a number would not survive the surgery."""
    return len(arguments) == 2 and isinstance(arguments[0], fx.Node) and arguments[1] == -1


# Exact types: a subclass may do anything.
_ACTIVATIONS = {
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid,
    nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
}  # fmt: skip
_POOLINGS = {nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d}
_DROPOUTS = {nn.AlphaDropout, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.FeatureAlphaDropout}
_MODULES: set[type[nn.Module]] = {*_ACTIVATIONS, *_POOLINGS, *_DROPOUTS}
_FUNCTIONS: set[object] = {
    torch.relu, torch.relu_, torch.sigmoid, torch.tanh,
    F.celu, F.elu, F.gelu, F.hardsigmoid, F.hardswish, F.hardtanh, F.leaky_relu, F.logsigmoid,
    F.mish, F.relu, F.relu6, F.selu, F.sigmoid, F.silu, F.softplus, F.softsign, F.tanh,
    F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.avg_pool2d, F.max_pool2d, torch.max_pool2d,
    F.alpha_dropout, F.dropout, F.dropout1d, F.dropout2d,
}  # fmt: skip
_METHODS = {"contiguous", "relu", "relu_", "sigmoid", "tanh"}
_SUMS: set[object] = {
    operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub,
    "add", "add_", "sub", "sub_",
}  # fmt: skip
_PRODUCTS: set[object] = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}

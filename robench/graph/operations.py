"""What each step of a traced network does to channels, as far as compaction must know.

A channel (of maps [N, C, H, W] or of rows [N, C]) can only be taken out where every step that it
meets treats each channel by itself. This file knows which steps do.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from robench.models.plain import torch_type

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

__all__ = [
    "BatchNorm",
    "Kind",
    "Weighted",
    "argument",
    "cut_sizes",
    "is_batch_norm",
    "is_layer",
    "kind_of",
    "operands",
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
    "norm",  # a BatchNorm, as a module or as a function
    "each",  # treats each channel by itself: activations, pooling, dropout
    "flatten",  # maps to rows, channel after channel
    "sum",  # adds or subtracts two tensors of the same channels, or a number
    "product",  # multiplies two such tensors
    "concatenate",  # along the channels
    "split",  # cuts the channels into pieces, or takes some of such pieces: gives a tuple
    "piece",  # one piece of a split
    "pad",  # puts channels of zeros before and after those that it reads
    "constant",  # a tensor that compaction put in the place of a branch
    "form",  # a size, a type, a tensor of a BatchNorm or another setting: no activations
    "output",
    "other",  # may do anything: no channel of what it reads or writes can go
]


def kind_of(
    node: fx.Node,
    parts: dict[str, nn.Module],
    values: dict[fx.Node, Any],
    kinds: dict[fx.Node, Kind],
    norms: Collection[fx.Node],
) -> Kind:
    """What a step does to channels.

    Args:
        node: the step.
        parts: the network's modules by qualified name.
        values: what each step gave when the network ran on one input.
        kinds: of the steps before it.
        norms: the steps that compute BatchNorm with a function, or fetch its tensors.
    """
    if node in norms:
        return "form" if node.op == "get_attr" else "norm"
    if node.op == "output":
        return "output"
    if _is_form(node, values, kinds):
        return "form"
    if node.op == "placeholder":
        return "input"
    if node.op == "get_attr":
        return "constant" if _is_left_by_compaction(node, parts) else "other"
    if _is_cut(node, values, kinds):
        return "split"
    if not isinstance(values[node], torch.Tensor):
        return "other"
    if node.op == "call_module":
        return _kind_of_module(node, parts, values)
    if node.target is operator.getitem and kinds[node.all_input_nodes[0]] == "split":
        return "piece"
    return _kind_of_function(node, values, kinds)


def is_layer(module: nn.Module | None) -> bool:
    """Whether this computes what Conv2d or Linear compute; a subclass may do anything."""
    return torch_type(module) in (nn.Conv2d, nn.Linear)


def is_batch_norm(module: nn.Module | None) -> bool:
    """Whether this computes what BatchNorm computes for rows or maps."""
    return torch_type(module) in (nn.BatchNorm1d, nn.BatchNorm2d)


def words(node: fx.Node, parts: dict[str, nn.Module]) -> str:
    """A step as people read it."""
    if node.op == "call_module":
        return f"{str(node.target)!r} ({type(parts[str(node.target)]).__name__})"
    return f"{node.name!r} (a function)"


def operands(node: fx.Node) -> list[fx.Node]:
    """The steps that a concatenation reads, in order; one may stand there several times."""
    tensors = argument(node, 0, "tensors", ())
    return [one for one in _listed(tensors) if isinstance(one, fx.Node)]


def _listed(tensors: object) -> list[object]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _is_form(node: fx.Node, values: dict[fx.Node, Any], kinds: dict[fx.Node, Kind]) -> bool:
    """Whether a step gives no activations, and has looked at none."""
    if _holds_tensors(values[node]):
        return False
    reads = [read for read in node.all_input_nodes if kinds[read] != "form"]
    is_query = node.op != "call_module" and node.target in _QUERIES
    is_attribute = node.target is getattr and node.args[1] in _ATTRIBUTES
    return not reads or is_query or is_attribute


def _holds_tensors(value: object) -> bool:
    if isinstance(value, torch.Tensor):
        return True
    if isinstance(value, dict):
        return any(map(_holds_tensors, value.values()))
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return any(map(_holds_tensors, value))
    return not isinstance(value, _SETTINGS)


def _is_left_by_compaction(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    """Whether this is a buffer that stands for a branch, and not one of the network's own."""
    name = str(node.target)
    own = dict(parts[""].named_buffers(recurse=False)).get(name)
    return bool(re.fullmatch(r"constant_\d+", name)) and own is not None and own.ndim > 1


def _is_cut(node: fx.Node, values: dict[fx.Node, Any], kinds: dict[fx.Node, Kind]) -> bool:
    """Whether a step cuts tensors into pieces of some channels each, or takes some of those."""
    is_call = node.op in ("call_function", "call_method")
    if not is_call or not isinstance(values[node], list | tuple) or not node.all_input_nodes:
        return False
    read = node.all_input_nodes[0]
    if node.target is operator.getitem:
        return kinds[read] == "split" and isinstance(node.args[1], slice)
    if node.target not in _CUTS or not isinstance(values[read], torch.Tensor):
        return False
    dimensions = values[read].ndim
    return dimensions > 1 and argument(node, 2, "dim", 0) in (1, 1 - dimensions)


def _kind_of_module(node: fx.Node, parts: dict[str, nn.Module], values: dict[fx.Node, Any]) -> Kind:
    module, reads = parts[str(node.target)], node.all_input_nodes
    if len(reads) != 1 or not isinstance(values[reads[0]], torch.Tensor):
        return "other"
    dimensions, base = values[reads[0]].ndim, torch_type(module)
    if is_layer(module):
        return "layer" if dimensions == (_MAPS if isinstance(module, nn.Conv2d) else 2) else "other"
    if is_batch_norm(module):
        return "norm"
    if isinstance(module, nn.Flatten) and base is nn.Flatten:
        return "flatten" if (module.start_dim, module.end_dim) == (1, -1) else "other"
    if isinstance(module, nn.PReLU) and base is nn.PReLU:
        return "each" if module.num_parameters == 1 else "other"
    if base in _POOLINGS | _PADDINGS:
        return "each" if dimensions == _MAPS else "other"
    return "each" if base in _MODULES else "other"


def _kind_of_function(
    node: fx.Node, values: dict[fx.Node, Any], kinds: dict[fx.Node, Kind]
) -> Kind:
    target = node.target
    if target in (torch.cat, torch.concat):
        return _kind_of_concatenation(node, values, kinds)
    reads = [read for read in node.all_input_nodes if kinds[read] != "form"]
    if not all(isinstance(values[read], torch.Tensor) for read in reads):
        return "other"
    if target in _SUMS:
        return _joined("sum", node, values)
    if target in _PRODUCTS:
        return _joined("product", node, values)
    return _kind_of_map(node, values[reads[0]]) if len(reads) == 1 else "other"


def _kind_of_map(node: fx.Node, read: Tensor) -> Kind:
    """What a function of one tensor does."""
    target = node.target
    if _is_flatten(node):
        return "flatten"
    if target in _FUNCTIONS or (node.op == "call_method" and target in _METHODS):
        return "each"
    if target in _POOLING_FUNCTIONS:
        return "each" if read.ndim == _MAPS else "other"
    if target in (torch.mean, "mean") and _is_over_maps(node, read):
        return "each"
    if target is operator.getitem:
        return "each" if _is_within_maps(node.args[1]) else "other"
    if target is F.pad:
        return _kind_of_padding(node, read)
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


def _kind_of_concatenation(
    node: fx.Node, values: dict[fx.Node, Any], kinds: dict[fx.Node, Kind]
) -> Kind:
    reads, dimensions = operands(node), values[node].ndim
    is_along_channels = dimensions > 1 and argument(node, 1, "dim", 0) in (1, 1 - dimensions)
    are_tensors = all(
        isinstance(values[read], torch.Tensor) or kinds[read] == "split" for read in reads
    )
    is_all = len(reads) == len(_listed(argument(node, 0, "tensors", ())))
    return "concatenate" if is_along_channels and are_tensors and is_all and reads else "other"


def _is_over_maps(node: fx.Node, read: Tensor) -> bool:
    """Whether a mean is taken over height and width alone."""
    axes = argument(node, 1, "dim", None)
    if not isinstance(axes, list | tuple) or read.ndim != _MAPS:
        return False
    return {axis % _MAPS for axis in axes if isinstance(axis, int)} == {2, 3}


def _is_within_maps(places: object) -> bool:
    """Whether ``x[places]`` takes part of each map, of all images and all channels."""
    if not isinstance(places, tuple) or not all(isinstance(one, slice | int) for one in places):
        return False
    return len(places) > 2 and places[:2] == (slice(None), slice(None))


def cut_sizes(node: fx.Node, channels: int) -> tuple[int, ...] | None:
    """How many channels each piece would have if a split read so many; `None` if it would fail."""
    function = getattr(torch, node.target) if isinstance(node.target, str) else node.target
    named = [value for name, value in node.kwargs.items() if name not in ("dim", "input", "tensor")]
    where = [*node.args[1:2], *named]
    try:
        pieces = cast("Any", function)(torch.empty(1, channels, device="meta"), *where, dim=1)
    except (RuntimeError, TypeError, IndexError, ValueError):
        return None
    return tuple(piece.shape[1] for piece in pieces)


def padding_amounts(node: fx.Node) -> tuple[int, ...]:
    """By how much an ``F.pad`` pads before and after each dimension, the last dimension first."""
    amounts = argument(node, 1, "pad", ())
    if not isinstance(amounts, list | tuple):
        raise TypeError(f"{node.name} pads by {amounts!r}")
    return tuple(int(amount) for amount in amounts)


def _kind_of_padding(node: fx.Node, read: Tensor) -> Kind:
    """Each map by itself, or by maps of zeros: the shortcut of a residual network that widens."""
    if len(node.all_input_nodes) != 1 or read.ndim != _MAPS:
        return "other"
    across = padding_amounts(node)[4:]
    if not any(across):
        return "each"
    is_zeros = argument(node, 2, "mode", "constant") == "constant"
    is_zeros = is_zeros and not argument(node, 3, "value", None)
    return "pad" if is_zeros and len(across) == 2 and min(across) >= 0 else "other"


def argument(node: fx.Node, place: int, name: str, default: object) -> object:
    """An argument of a step that calls a function, however it was given."""
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


# A subclass that overrides what its base computes may do anything.
_ACTIVATIONS = {
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid,
    nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
}  # fmt: skip
_POOLINGS = {nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d}
_PADDINGS = {
    nn.CircularPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad2d,
}  # fmt: skip
_DROPOUTS = {nn.AlphaDropout, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.FeatureAlphaDropout}
_MODULES: set[type[nn.Module]] = {*_ACTIVATIONS, *_DROPOUTS}
_FUNCTIONS: set[object] = {
    torch.relu, torch.relu_, torch.sigmoid, torch.tanh,
    F.celu, F.elu, F.gelu, F.hardsigmoid, F.hardswish, F.hardtanh, F.leaky_relu, F.logsigmoid,
    F.mish, F.relu, F.relu6, F.selu, F.sigmoid, F.silu, F.softplus, F.softsign, F.tanh,
    F.alpha_dropout, F.dropout, F.dropout1d, F.dropout2d,
}  # fmt: skip
_POOLING_FUNCTIONS: set[object] = {
    F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.avg_pool2d, F.max_pool2d, torch.max_pool2d,
}  # fmt: skip
_METHODS = {"contiguous", "relu", "relu_", "sigmoid", "tanh"}
_SUMS: set[object] = {
    operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub,
    "add", "add_", "sub", "sub_",
}  # fmt: skip
_PRODUCTS: set[object] = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
_CUTS: set[object] = {
    torch.chunk, torch.split, torch.split_with_sizes, torch.tensor_split,
    "chunk", "split", "split_with_sizes", "tensor_split",
}  # fmt: skip
_QUERIES: set[object] = {"size", "dim", "ndimension", "numel", "nelement", "stride", torch.numel}
_ATTRIBUTES: set[object] = {"shape", "ndim", "dtype", "device", "is_cuda", "requires_grad"}
_SETTINGS = (
    bool, int, float, complex, str, bytes, slice, type(None), type(...), torch.Size, torch.dtype,
    torch.device, torch.layout, torch.memory_format, range, nn.Module,
)  # fmt: skip
"""Types of values that hold no activations."""

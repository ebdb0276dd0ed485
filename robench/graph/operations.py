"""What each step of a traced network does to channels, as far as compaction must know.

A channel (of maps [N, C, H, W], of rows [N, C], of tokens [N, L, C]) can only be taken out where
every step that it meets treats each channel by itself. This file knows which steps do, and in which
dimension their channels lie.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import fx, nn

from robench.graph.axes import MAPS, is_move, moved_axis
from robench.graph.calls import (
    argument,
    channel_padding,
    is_flatten,
    listed,
    operands,
    padding_amounts,
)
from robench.models.plain import Weighted, torch_type

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

__all__ = [
    "BatchNorm",
    "Kind",
    "Seen",
    "Transposed",
    "Weighted",
    "axis_of",
    "is_batch_norm",
    "is_layer",
    "kind_of",
    "unit_count",
    "words",
]

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d

Kind = Literal[
    "input",  # the network's input
    "layer",  # a plain convolution of maps [N, C, …], or a Linear of rows or tokens [N, …, F]
    "norm",  # a BatchNorm, as a module or as a function
    "each",  # channel-wise: activations, pooling, dropout, permutations
    "flatten",  # to rows [N, F]
    "sum",  # adds or subtracts two tensors of the same channels, or a number
    "product",  # multiplies two such tensors
    "concatenate",  # along the channels
    "split",  # cuts the channels into pieces, or selects some pieces; its output is a tuple
    "piece",  # one piece of a split
    "pad",  # pads with zero channels before and after
    "constant",  # a tensor with which compaction replaced a branch
    "form",  # a size, a type, a tensor of a BatchNorm or another setting; no activations
    "output",
    "other",  # unknown effect: no channel of its inputs or output can be removed
]


@dataclass(frozen=True)
class Seen:
    """Properties of a network's steps, up to some step.

    Attributes:
        parts: the network's modules by qualified name.
        values: output of each step for one input.
        norms: the steps that compute a functional BatchNorm, or fetch its tensors.
        fixed: names of the modules that must not change.
        kinds: what each step does to channels.
        axes: channel axis of each step's output.
    """

    parts: dict[str, nn.Module]
    values: dict[fx.Node, Any]
    norms: Collection[fx.Node] = ()
    fixed: Collection[str] = ()
    kinds: dict[fx.Node, Kind] = field(default_factory=dict)
    axes: dict[fx.Node, int] = field(default_factory=dict)

    def reads(self, node: fx.Node) -> list[fx.Node]:
        """The steps whose tensors a step reads, without sizes."""
        return [read for read in node.all_input_nodes if self.kinds[read] != "form"]


def kind_of(node: fx.Node, seen: Seen) -> Kind:
    """What a step does to channels, given the steps before it."""
    if node in seen.norms:
        return "form" if node.op == "get_attr" else _kind_of_norm(node, seen)
    if node.op == "output":
        return "output"
    if _is_form(node, seen):
        return "form"
    if node.op == "placeholder":
        return "input"
    if node.op == "get_attr":
        return "constant" if _is_left_by_compaction(node, seen.parts) else "other"
    if _is_cut(node, seen):
        return "split"
    if not isinstance(seen.values[node], torch.Tensor):
        return "other"
    if node.op == "call_module":
        return _kind_of_module(node, seen)
    if node.target is operator.getitem and seen.kinds[node.all_input_nodes[0]] == "split":
        return "piece"
    return _kind_of_function(node, seen)


def axis_of(node: fx.Node, seen: Seen) -> int:
    """The channel axis of a step's output; 1 if it is unknown, or if the output is a size."""
    kind, reads, value = seen.kinds[node], seen.reads(node), seen.values[node]
    if kind == "layer":
        return value.ndim - 1 if isinstance(seen.parts[str(node.target)], nn.Linear) else MAPS
    if kind not in ("norm", "each", "sum", "product", "concatenate", "split", "piece", "pad"):
        return MAPS
    read = seen.axes[reads[0]]
    if kind == "each" and is_move(node, seen.parts.get(str(node.target))):
        moved = moved_axis(node, seen.parts, seen.values[reads[0]].ndim, read)
        return MAPS if moved is None else moved
    return read


def is_layer(module: nn.Module | None) -> bool:
    """Whether the module is a convolution or Linear; not a subclass that overrides forward()."""
    return torch_type(module) in _LAYERS


def is_batch_norm(module: nn.Module | None) -> bool:
    """Whether the module is a BatchNorm of rows or feature maps."""
    return torch_type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def unit_count(layer: Weighted) -> int:
    """Number of output channels or features of a layer."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def words(node: fx.Node, parts: dict[str, nn.Module]) -> str:
    """A step, for messages."""
    if node.op == "call_module":
        return f"{str(node.target)!r} ({type(parts[str(node.target)]).__name__})"
    return f"{node.name!r} (a function)"


def _is_form(node: fx.Node, seen: Seen) -> bool:
    """Whether a step outputs no activations and depends on no values of activations."""
    if _holds_tensors(seen.values[node]):
        return False
    is_query = node.op != "call_module" and node.target in _QUERIES
    is_attribute = node.target is getattr and node.args[1] in _ATTRIBUTES
    return not seen.reads(node) or is_query or is_attribute


def _holds_tensors(value: object) -> bool:
    if isinstance(value, torch.Tensor):
        return True
    if isinstance(value, dict):
        return any(map(_holds_tensors, value.values()))
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return any(map(_holds_tensors, value))
    return not isinstance(value, _SETTINGS)


def _is_left_by_compaction(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    """Whether this is a buffer with which compaction replaced a branch."""
    name = str(node.target)
    own = dict(parts[""].named_buffers(recurse=False)).get(name)
    return bool(re.fullmatch(r"constant_\d+", name)) and own is not None and own.ndim > 1


def _is_cut(node: fx.Node, seen: Seen) -> bool:
    """Whether a step cuts a tensor along its channels, or selects several of the pieces."""
    is_call = node.op in ("call_function", "call_method")
    if not is_call or not isinstance(seen.values[node], list | tuple) or not node.all_input_nodes:
        return False
    read = node.all_input_nodes[0]
    if node.target is operator.getitem:
        return seen.kinds[read] == "split" and isinstance(node.args[1], slice)
    value = seen.values[read]
    if node.target not in _CUTS or not isinstance(value, torch.Tensor) or value.ndim < 2:
        return False
    return _is_axis(argument(node, 2, "dim", 0), value.ndim, seen.axes[read])


def _is_axis(dimension: object, dimensions: int, axis: int) -> bool:
    return isinstance(dimension, int) and dimension in (axis, axis - dimensions)


def _kind_of_norm(node: fx.Node, seen: Seen) -> Kind:
    """BatchNorm expects its channels in dimension 1."""
    return "norm" if [seen.axes[read] for read in seen.reads(node)] == [MAPS] else "other"


def _kind_of_module(node: fx.Node, seen: Seen) -> Kind:
    module, reads = seen.parts[str(node.target)], node.all_input_nodes
    if len(reads) != 1 or [*node.args, *node.kwargs.values()] != reads:
        return "other"
    value = seen.values[reads[0]]
    if not isinstance(value, torch.Tensor):
        return "other"
    axis, base = seen.axes[reads[0]], torch_type(module)
    if base in _LAYERS:
        is_plain = _takes(base, value.ndim) and str(node.target) not in seen.fixed
        return "layer" if is_plain else "other"
    if is_batch_norm(module):
        return _kind_of_norm(node, seen)
    if isinstance(module, nn.Flatten) and base is nn.Flatten:
        return _kind_of_flatten(node, module, seen)
    if isinstance(module, nn.PReLU) and base is nn.PReLU:
        return "each" if module.num_parameters == 1 else "other"
    if base in _SLIDING:
        return "each" if value.ndim == _SLIDING[base] and axis == MAPS else "other"
    return "each" if base in _MODULES else "other"


def _takes(base: type[nn.Module] | None, dimensions: int) -> bool:
    """Whether a layer takes a batch of so many dimensions (not a single input)."""
    return dimensions > 1 if base is nn.Linear else dimensions == _LAYERS.get(base, 0)


def _kind_of_flatten(node: fx.Node, module: nn.Flatten, seen: Seen) -> Kind:
    return "flatten" if (module.start_dim, module.end_dim) == (1, -1) else _kind_of_move(node, seen)


def _kind_of_function(node: fx.Node, seen: Seen) -> Kind:
    target = node.target
    if target in (torch.cat, torch.concat):
        return _kind_of_concatenation(node, seen)
    reads = seen.reads(node)
    if not all(isinstance(seen.values[read], torch.Tensor) for read in reads):
        return "other"
    if target in _SUMS:
        return _joined("sum", node, seen)
    if target in _PRODUCTS:
        return _joined("product", node, seen)
    return _kind_of_map(node, reads[0], seen) if len(reads) == 1 else "other"


def _kind_of_map(node: fx.Node, source: fx.Node, seen: Seen) -> Kind:
    """Kind of a function of one tensor."""
    target, read = node.target, seen.values[source]
    if is_flatten(node):  # unless the number of rows differs from the batch size
        return "flatten" if len(seen.values[node]) == len(read) else "other"
    if target in _FUNCTIONS or (node.op == "call_method" and target in _METHODS):
        return "each"
    if target in _POOLING_FUNCTIONS:
        is_over_maps = read.ndim == _POOLING_FUNCTIONS[target] and seen.axes[source] == MAPS
        return "each" if is_over_maps else "other"
    if is_move(node, None):
        return _kind_of_move(node, seen)
    if target is F.pad:
        return _kind_of_padding(node, read, seen.axes[source])
    return "other"


def _kind_of_move(node: fx.Node, seen: Seen) -> Kind:
    (source,) = seen.reads(node)
    moved = moved_axis(node, seen.parts, seen.values[source].ndim, seen.axes[source])
    return "other" if moved is None else "each"


def _joined(kind: Kind, node: fx.Node, seen: Seen) -> Kind:
    """Kind of a sum or product; of two tensors, their channels must match."""
    reads = node.all_input_nodes
    values = [seen.values[read] for read in reads]
    if not all(isinstance(value, torch.Tensor) for value in values) or len(node.args) != 2:
        return "other"
    if len(reads) == 1:
        return "each"
    sides = {
        (value.ndim, seen.axes[read], value.shape[seen.axes[read] :][:1])
        for value, read in zip(values, reads, strict=True)
    }
    return kind if len(sides) == 1 and not node.kwargs else "other"


def _kind_of_concatenation(node: fx.Node, seen: Seen) -> Kind:
    reads, dimensions = operands(node), seen.values[node].ndim
    are_tensors = all(
        isinstance(seen.values[read], torch.Tensor) or seen.kinds[read] == "split" for read in reads
    )
    is_all = bool(reads) and len(reads) == len(listed(argument(node, 0, "tensors", ())))
    if not is_all or not are_tensors or dimensions < 2:
        return "other"
    along = argument(node, 1, "dim", 0)
    is_along_channels = all(_is_axis(along, dimensions, seen.axes[read]) for read in reads)
    return "concatenate" if is_along_channels else "other"


def _kind_of_padding(node: fx.Node, read: Tensor, axis: int) -> Kind:
    """Spatial padding, or zero channels: the shortcut of a residual block that widens."""
    if len(node.all_input_nodes) != 1 or read.ndim < 2:
        return "other"
    amounts, behind = padding_amounts(node), read.ndim - 1 - axis
    across, of_batch = channel_padding(amounts, behind), amounts[2 * (read.ndim - 1) :]
    if any(of_batch):
        return "other"
    if not any(across):
        return "each"
    is_zeros = argument(node, 2, "mode", "constant") == "constant"
    is_zeros = is_zeros and not argument(node, 3, "value", None)
    return "pad" if is_zeros and min(across) >= 0 else "other"


_Dimensions: TypeAlias = dict[object, int]
"""Layer or pooling → number of dimensions of a batch of its inputs."""

_LAYERS: _Dimensions = {
    nn.Linear: 2, nn.Conv1d: 3, nn.Conv2d: 4, nn.Conv3d: 5,
    nn.ConvTranspose1d: 3, nn.ConvTranspose2d: 4, nn.ConvTranspose3d: 5,
}  # fmt: skip

# A subclass that overrides what its base computes may do anything.
_ACTIVATIONS = {
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid,
    nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
}  # fmt: skip
_SLIDING: _Dimensions = {
    nn.AdaptiveAvgPool1d: 3, nn.AdaptiveMaxPool1d: 3, nn.AvgPool1d: 3, nn.MaxPool1d: 3,
    nn.AdaptiveAvgPool2d: 4, nn.AdaptiveMaxPool2d: 4, nn.AvgPool2d: 4, nn.MaxPool2d: 4,
    nn.AdaptiveAvgPool3d: 5, nn.AdaptiveMaxPool3d: 5, nn.AvgPool3d: 5, nn.MaxPool3d: 5,
    nn.CircularPad1d: 3, nn.ConstantPad1d: 3, nn.ReflectionPad1d: 3, nn.ReplicationPad1d: 3,
    nn.CircularPad2d: 4, nn.ConstantPad2d: 4, nn.ReflectionPad2d: 4, nn.ReplicationPad2d: 4,
    nn.CircularPad3d: 5, nn.ConstantPad3d: 5, nn.ReflectionPad3d: 5, nn.ReplicationPad3d: 5,
    nn.ZeroPad1d: 3, nn.ZeroPad2d: 4, nn.ZeroPad3d: 5,
}  # fmt: skip
_DROPOUTS = {
    nn.AlphaDropout, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout,
}  # fmt: skip
_MODULES: set[type[nn.Module]] = {*_ACTIVATIONS, *_DROPOUTS}
_FUNCTIONS: set[object] = {
    torch.relu, torch.relu_, torch.sigmoid, torch.tanh,
    F.celu, F.elu, F.gelu, F.hardsigmoid, F.hardswish, F.hardtanh, F.leaky_relu, F.logsigmoid,
    F.mish, F.relu, F.relu6, F.selu, F.sigmoid, F.silu, F.softplus, F.softsign, F.tanh,
    F.alpha_dropout, F.dropout, F.dropout1d, F.dropout2d, F.dropout3d,
}  # fmt: skip
_POOLING_FUNCTIONS: _Dimensions = {
    F.adaptive_avg_pool1d: 3, F.adaptive_max_pool1d: 3, F.avg_pool1d: 3, F.max_pool1d: 3,
    F.adaptive_avg_pool2d: 4, F.adaptive_max_pool2d: 4, F.avg_pool2d: 4, F.max_pool2d: 4,
    F.adaptive_avg_pool3d: 5, F.adaptive_max_pool3d: 5, F.avg_pool3d: 5, F.max_pool3d: 5,
    torch.max_pool1d: 3, torch.max_pool2d: 4, torch.max_pool3d: 5,
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

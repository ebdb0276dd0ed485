"""The channel axis of each step's output: the dimension that holds its channels.

Convolutions and BatchNorm have their channels in dimension 1, Linear has its features last, and
``permute``, ``transpose`` or ``x[:, 0]`` move them. A step of unknown effect gets axis 1: its
output is pinned, and a layer that reads it along another axis sees new, pinned channels.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from robench.graph.calls import argument
from robench.models.plain import torch_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["MAPS", "by_channel", "flattened", "is_move", "is_view", "moved_axis", "shaped"]

MAPS = 1
"""The channel axis of feature maps [N, C, …] and of rows [N, F]."""

_PERMUTATIONS = ("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis")
_OTHER_MOVES = ("flatten", "mean", "unsqueeze", "squeeze")
_MOVES: set[object] = {
    operator.getitem,
    *_PERMUTATIONS,
    *_OTHER_MOVES,
    *(getattr(torch, name) for name in (*_PERMUTATIONS, *_OTHER_MOVES)),
}
_VIEWS = _MOVES | {
    "chunk", "contiguous", "reshape", "split", "split_with_sizes", "tensor_split", "view",
    torch.chunk, torch.reshape, torch.split, torch.split_with_sizes, torch.tensor_split,
}  # fmt: skip
_SQUEEZES: set[object] = {"squeeze", torch.squeeze}
_SIZES = (11, 13, 17, 19, 23, 29, 31, 37)
"""Sizes of the probe tensor for a move: primes, so that no product is another size."""
_TO_ONE_PIXEL: set[object] = {
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d,
    F.adaptive_avg_pool3d, F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d,
}  # fmt: skip


def by_channel(value: Tensor, axis: int) -> Tensor:
    """Reshape a tensor to [channels, everything else]."""
    return value.movedim(axis, 0).reshape(value.shape[axis], -1)


def shaped(channels: Tensor, dimensions: int, axis: int) -> Tensor:
    """Reshape [channels] to broadcast with a tensor of `dimensions` dimensions."""
    return channels.view(*(-1 if place == axis else 1 for place in range(dimensions)))


def flattened(channels: Tensor, shape: Sequence[int], axis: int) -> Tensor:
    """Values [channels] expanded to the features [F] that flattening a tensor [N, …] gives."""
    whole = shaped(channels, len(shape), axis).expand(1, *shape[1:])
    return whole.reshape(-1)


def is_move(node: fx.Node, part: nn.Module | None) -> bool:
    """Whether a step may move the channels to another dimension without mixing them."""
    return node.target in _MOVES if node.op != "call_module" else torch_type(part) is nn.Flatten


def is_view(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    """Whether the output of a step may be a view of its input."""
    if node.op == "call_module":
        return torch_type(parts[str(node.target)]) is nn.Flatten
    return node.target in _VIEWS


def moved_axis(
    node: fx.Node, parts: dict[str, nn.Module], dimensions: int, axis: int
) -> int | None:
    """The channel axis after a move; `None` if it mixes or cuts channels, or the batch.

    Args:
        node: a step of which :func:`is_move` is true.
        parts: the network's modules by qualified name.
        dimensions: number of dimensions of its input.
        axis: channel axis of its input.
    """
    if node.target is operator.getitem:
        return _after_indexing(node.args[1], dimensions, axis)
    if len(node.all_input_nodes) != 1 or node.args[:1] != (node.all_input_nodes[0],):
        return None
    if dimensions > len(_SIZES):
        return None
    sizes = list(_SIZES[:dimensions])
    if node.target in _SQUEEZES:
        place = argument(node, 1, "dim", None)
        if not isinstance(place, int) or axis != MAPS or not _is_one_pixel(node, parts):
            return None
        if place % dimensions <= axis:
            return None
        sizes[place % dimensions] = 1
    given = _tried(node, parts, torch.empty(sizes, device="meta"))
    if given is None or given.ndim < 2 or given.shape[0] != sizes[0]:
        return None
    places = [place for place, size in enumerate(given.shape) if size == sizes[axis]]
    return places[0] if len(places) == 1 else None


def _tried(node: fx.Node, parts: dict[str, nn.Module], probe: Tensor) -> Tensor | None:
    """The output of a move for a tensor on the meta device; `None` if it fails."""
    function: Any = node.target
    if node.op == "call_module":
        function = parts[str(node.target)]
    elif isinstance(node.target, str):
        function = getattr(torch.Tensor, node.target)
    try:
        given = function(probe, *node.args[1:], **node.kwargs)
    except (RuntimeError, TypeError, IndexError, ValueError):
        return None
    return given if isinstance(given, torch.Tensor) else None


def _after_indexing(places: object, dimensions: int, axis: int) -> int | None:
    """``x[:, 0]`` removes a dimension; all images and all channels must be kept."""
    if not isinstance(places, tuple) or not 1 < len(places) <= dimensions:
        return None
    if not all(isinstance(one, slice | int) and not isinstance(one, bool) for one in places):
        return None
    if any(one != slice(None) for one in (places[0], *places[axis : axis + 1])):
        return None
    return axis - sum(isinstance(one, int) for one in places[:axis])


def _is_one_pixel(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    """Whether a step reads feature maps that were pooled to one pixel, at every image size."""
    (source,) = node.all_input_nodes
    if source.op == "call_module":
        part = parts[str(source.target)]
        is_pooled, size = torch_type(part) in _TO_ONE_PIXEL, getattr(part, "output_size", None)
    else:
        is_pooled = source.target in _TO_ONE_PIXEL
        size = argument(source, 1, "output_size", None)
    sides = size if isinstance(size, list | tuple) else (size,)
    return is_pooled and all(side == 1 for side in cast("Sequence[object]", sides))

"""Which steps compute with the number of channels of a tensor.

``x.shape[1]`` changes when channels are removed. Reading a size is harmless as long as its number
of channels is not used; a step that computes with this number pins the channels.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from robench.graph.calls import argument

if TYPE_CHECKING:
    from torch import fx

    from robench.graph.trace import Traced

__all__ = ["ChannelCounts"]


@dataclass(frozen=True)
class _Size:
    """Some dimensions of a tensor, in order: the result of ``x.shape[…]``."""

    of: fx.Node
    dimensions: tuple[int, ...]


class ChannelCounts:
    """The sizes in a network, and which channels they count.

    Args:
        traced: the network.
    """

    def __init__(self, traced: Traced) -> None:
        self._traced = traced
        self._sizes: dict[fx.Node, _Size] = {}
        self._counted: dict[fx.Node, frozenset[fx.Node]] = {}
        for node in traced.nodes:
            if traced.kinds[node] == "form":
                self._follow(node)

    def used_by(self, node: fx.Node) -> frozenset[fx.Node]:
        """The steps whose number of channels a step uses; none if it only computes sizes."""
        if self._traced.kinds[node] == "form":
            return frozenset()
        found = (self._counted.get(read, frozenset()) for read in node.all_input_nodes)
        return frozenset().union(*found)

    def _follow(self, node: fx.Node) -> None:
        size = self._size(node)
        if size is not None:
            self._sizes[node] = size
            is_counted = self._traced.axes[size.of] in size.dimensions
            self._counted[node] = frozenset({size.of}) if is_counted else frozenset()
            return
        counted = [self._counted.get(read, frozenset()) for read in node.all_input_nodes]
        if node.target in ("numel", "nelement", torch.numel):
            counted.append(frozenset(node.all_input_nodes[:1]))
        self._counted[node] = frozenset().union(*counted)

    def _size(self, node: fx.Node) -> _Size | None:
        """The size that a step reads from a tensor, if it does nothing else."""
        if not node.all_input_nodes:
            return None
        source = node.all_input_nodes[0]
        known = self._sizes.get(source)
        if known is not None and node.target is operator.getitem:
            return _taken(known, node.args[1])
        value = self._traced.values[source]
        if not isinstance(value, torch.Tensor):
            return None
        is_shape = node.target is getattr and node.args[1] == "shape"
        if not is_shape and (node.op != "call_method" or node.target != "size"):
            return None
        whole = _Size(source, tuple(range(value.ndim)))
        place = None if is_shape else argument(node, 1, "dim", None)
        return whole if place is None else _taken(whole, place)


def _taken(size: _Size, place: object) -> _Size | None:
    if isinstance(place, int):
        return _Size(size.of, (size.dimensions[place],))
    bounds = (place.start, place.stop, place.step) if isinstance(place, slice) else (place,)
    if all(isinstance(bound, int | None) for bound in bounds) and isinstance(place, slice):
        return _Size(size.of, size.dimensions[place])
    return None  # a computed index may be any dimension

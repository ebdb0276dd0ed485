"""Coupled channels: sets of channels that can only be removed together.

Every unit (an output channel or feature of a layer) starts a *set*: the channel that it writes, and
every channel that reads it or that it is added to. A residual sum merges two sets. A step that may
mix channels pins all sets that it reads: they cannot be removed. Elsewhere such a set is called a
dependency group (Fang et al. 2023, arXiv 2301.12900).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from robench.compaction.counts import ChannelCounts
from robench.graph.axes import flattened
from robench.graph.calls import channel_padding, padding_amounts
from robench.graph.operations import BatchNorm, Weighted, unit_count, words

if TYPE_CHECKING:
    from torch import Tensor, fx

    from robench.graph.trace import Traced

__all__ = ["CoupledChannels"]


class CoupledChannels:
    """The sets of coupled channels of a network.

    Args:
        traced: the network.

    Attributes:
        of: step → int64 [channels], the set of each channel that it writes.
        read: layer's step → int64 [inputs], the set of each channel that it reads.
        count: how many sets there are; they are numbered 0 … count - 1.
        pinned: bool [count], true where a set cannot be removed, even if it is constant.
        whole: names of the modules whose weights forward() reads directly; they are left unchanged.
    """

    def __init__(self, traced: Traced) -> None:
        self._traced = traced
        self._ties: list[tuple[Tensor, Tensor]] = []
        self._pins: list[tuple[Tensor, str]] = []
        self._counts = ChannelCounts(traced)
        self.of: dict[fx.Node, Tensor] = {}
        self.read: dict[fx.Node, Tensor] = {}
        self.count = 0
        self.whole = {
            owner for node in traced.nodes if (owner := _owner_of_read_weight(traced, node))
        }
        for node in traced.nodes:
            self._follow(node)
        self._tie_shared_norms()
        self._merge()

    def why(self, node: fx.Node) -> str | None:
        """Why the units of a layer are all pinned, or `None` if they are not."""
        own = self.of[node]
        if not bool(self.pinned[own].all()):
            return None
        for sets, reason in self._pins:
            if bool(torch.isin(own, sets).any()):
                return reason
        return None

    def _follow(self, node: fx.Node) -> None:
        traced, kind = self._traced, self._traced.kinds[node]
        for counted in self._counts.used_by(node):
            self._pin(
                self.of[counted],
                f"{words(node, traced.parts)} computes with the number of these channels",
            )
        if kind == "form":
            return
        read = [self.of[other] for other in traced.reads(node)]
        if kind == "output":
            for sets in read:
                self._pin(sets, "")
            return
        self.of[node] = self._given(node, read)
        if node in traced.overwritten:
            self._pin(self.of[node], f"a view of {words(node, traced.parts)} is written over")
        if node.op == "call_module" and str(node.target) in self.whole:
            for sets in (*read, self.of[node]):
                self._pin(sets, f"forward() reads a weight of {str(node.target)!r} by itself")

    def _given(self, node: fx.Node, read: list[Tensor]) -> Tensor:
        """The set of each channel of a step's output."""
        traced, kind = self._traced, self._traced.kinds[node]
        if kind == "layer":
            return self._units(node, read[0])
        if kind in ("norm", "each"):
            return read[0]
        if kind == "flatten":
            return flattened(read[0], traced.read(node).shape, traced.axes[traced.reads(node)[0]])
        if kind in ("sum", "product"):
            self._ties.append((read[0], read[-1]))
            return read[0]
        if kind == "concatenate":
            return torch.cat(read)
        if kind in ("split", "piece"):
            return traced.pieces(node, read[0])
        if kind == "pad":
            behind = traced.read(node).ndim - 1 - traced.axes[node]
            amounts = channel_padding(padding_amounts(node), behind)
            before, after = (self._new(count) for count in amounts)
            return torch.cat([before, read[0], after])
        return self._barrier(node, read)

    def _units(self, node: fx.Node, read: Tensor) -> Tensor:
        """New sets, one per unit; a depthwise convolution merges them with those that it reads."""
        layer = self._traced.layer(node)
        units = self._new(unit_count(layer))
        if not self._traced.fits(node):
            reason = f"{words(node, self._traced.parts)} reads along another dimension"
            self._pin(read, reason)
            read = self._new(self._traced.read(node).shape[self._traced.axes[node]])
            self._pin(read, reason)
        self.read[node] = read
        groups = getattr(layer, "groups", 1)
        if groups == len(read) > 1:
            self._ties.append((read.repeat_interleave(len(units) // groups), units))
        return units

    def _barrier(self, node: fx.Node, read: Sequence[Tensor]) -> Tensor:
        """A step of unknown effect, the network's input, or a constant that is added to others."""
        given = self._new(self._traced.channels(node))
        if self._traced.kinds[node] == "constant":
            return given
        reason = f"{words(node, self._traced.parts)} may mix or count channels"
        for sets in (*read, given):
            self._pin(sets, reason)
        return given

    def _tie_shared_norms(self) -> None:
        """A BatchNorm that is called several times must lose the same channels in every call.

        If the channels of one call cannot be followed, those of all calls are pinned.
        """
        first: dict[str, Tensor] = {}
        for node, sets in self.of.items():
            norm = self._traced.norm_called(node)
            if norm is not None:
                self._ties.append((first.setdefault(norm.name, sets), sets))

    def _new(self, count: int) -> Tensor:
        sets = torch.arange(self.count, self.count + count)
        self.count += count
        return sets

    def _pin(self, sets: Tensor, reason: str) -> None:
        self._pins.append((sets, reason))

    def _merge(self) -> None:
        """Give merged sets one number, and pin a merged set if one of its parts was pinned."""
        ties = [torch.stack(tie) for tie in self._ties]
        first, second = torch.cat(ties, dim=1).numpy() if ties else np.empty((2, 0), dtype=np.int64)
        edges = coo_array((np.ones(len(first)), (first, second)), shape=(self.count, self.count))
        count, labels = connected_components(edges, directed=False)
        number = torch.from_numpy(labels.astype(np.int64))
        self.count = int(count)
        self.of = {node: number[sets] for node, sets in self.of.items()}
        self.read = {node: number[sets] for node, sets in self.read.items()}
        self._pins = [(number[sets], reason) for sets, reason in self._pins]
        self.pinned = torch.zeros(self.count, dtype=torch.bool)
        for sets, _ in self._pins:
            self.pinned[sets] = True


def _owner_of_read_weight(traced: Traced, node: fx.Node) -> str | None:
    """The layer or BatchNorm whose parameter or buffer a `get_attr` step reads, if any."""
    owner = str(node.target).rpartition(".")[0]
    if node.op != "get_attr" or not isinstance(traced.parts.get(owner), Weighted | BatchNorm):
        return None
    return owner

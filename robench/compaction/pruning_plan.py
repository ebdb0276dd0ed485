"""Selects the units to keep and the bias corrections for removed constant units.

A set of coupled channels is removed when no kept unit reads it, or when it is constant wherever it
is read and the biases of its readers can absorb the constant. The network is not changed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from robench.compaction.constants import (
    FIXED,
    UNIFORM,
    blocks,
    constancy,
    is_uniform,
    is_zero,
    level_read,
)
from robench.compaction.coupling import CoupledChannels
from robench.compaction.spatial import border_value
from robench.graph.axes import by_channel, shaped
from robench.graph.operations import Transposed, unit_count

if TYPE_CHECKING:
    from torch import Tensor, fx

    from robench.graph.operations import Weighted
    from robench.graph.trace import Traced

__all__ = ["Constants", "LayerPlan", "Plan", "Policy"]

Constants = Literal["keep", "bias-map", "zero-bn"]
"""Treatment of a constant in front of a zero-padded convolution, which sees a border: ``keep`` the
unit, give the next layer a ``bias-map`` (one bias per pixel), or ``zero-bn``, set the BatchNorm so
that the constant is zero."""


@dataclass(frozen=True)
class Policy:
    """How constant units are treated.

    Attributes:
        constants: treatment of constants that no single bias can absorb.
        one_size: whether the network is used at one image size only, so that a constant need not be
            uniform at other sizes.
    """

    constants: Constants = "keep"
    one_size: bool = False

    @property
    def leaves_maps(self) -> bool:
        """Whether a constant that is not uniform over the pixels may become a bias map."""
        return self.constants == "bias-map"


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What is removed from one layer.

    Attributes:
        node: its step.
        name: its qualified name.
        layer: the module.
        kept: bool [units], ``False`` where a unit is removed.
        inputs_kept: bool [inputs], ``False`` where the channel that feeds the input is removed.
        unread: bool [inputs], kept, but read by no kept unit.
        shift: what the constants of removed inputs add to the outputs: one value per unit,
            [1, units], or one map per unit, in the shape of one output.
        folded: bool [units], removed, and a nonzero constant was folded into its readers' biases.
        stuck: bool [units], constant, and kept because a reader cannot absorb the constant.
        at_one_size: whether an absorbed constant would differ at other image sizes.
        why: reason that units were kept although they may be dead, or ``None``.
    """

    node: fx.Node
    name: str
    layer: Weighted
    kept: Tensor
    inputs_kept: Tensor
    unread: Tensor
    shift: Tensor
    folded: Tensor
    stuck: Tensor
    at_one_size: bool
    why: str | None


@dataclass(frozen=True, eq=False)
class _Reader:
    """A layer, and the sets of coupled channels that it reads and writes.

    Attributes:
        node: its step.
        name: its qualified name.
        layer: the module.
        inputs: int64 [inputs], set of each input.
        units: int64 [units], set of each unit.
        constant: bool [inputs], independent of the network's input.
        movable: bool [inputs], constant, and the layer's bias can absorb the constant.
        movable_always: bool [inputs], likewise, at every image size.
    """

    node: fx.Node
    name: str
    layer: Weighted
    inputs: Tensor
    units: Tensor
    constant: Tensor
    movable: Tensor
    movable_always: Tensor


class Plan:
    """Selection of the units to remove, for all layers.

    Args:
        traced: the network, float64; it is not changed.
        policy: treatment of constant units.

    Attributes:
        coupling: the sets of coupled channels.
        needed: bool [sets], ``True`` where a set is kept.
        layers: one plan per layer, in order of execution. Each keeps at least one unit.
    """

    def __init__(self, traced: Traced, policy: Policy) -> None:
        self.coupling = CoupledChannels(traced)
        self._traced = traced
        self._readers = _readers(traced, self.coupling, policy)
        self._pieces = [
            piece
            for node in traced.nodes
            if traced.kinds[node] == "split"
            for piece in torch.split(self.coupling.of[node], traced.piece_sizes(node))
        ]
        self.needed = self.coupling.pinned.clone()
        self._evened: dict[int, str] = {}
        self._find_needed()
        self._blocked = self._find_blocked()
        self._folded = self._find_folded()
        self.layers = [self._plan(reader) for reader in self._readers]

    def _find_needed(self) -> None:
        """Iterate to the fixed point: a set that is needed may make other sets needed."""
        needed, before = self.needed, -1
        while (now := int(needed.sum())) > before:
            before = now
            for reader in reversed(self._readers):
                if not bool(needed[reader.units].any()):
                    needed[reader.units[0]] = True  # a layer needs at least one unit
                must = _read_by(reader, needed[reader.units]) & ~reader.movable
                needed[reader.inputs[must]] = True
                if not bool(needed[reader.inputs].any()):
                    needed[reader.inputs[0]] = True
                self._even_out(reader)
            for piece in self._pieces:
                if len(piece) and not bool(needed[piece].any()):
                    needed[piece[0]] = True

    def _even_out(self, reader: _Reader) -> None:
        """Keep the groups of a convolution equally large; empty groups may be removed."""
        groups = getattr(reader.layer, "groups", 1)
        if groups == 1:
            return
        sides = [reader.units.view(groups, -1), reader.inputs.view(groups, -1)]
        is_there = self.needed[sides[0]].any(1) | self.needed[sides[1]].any(1)
        for side in sides:
            most = max(int(self.needed[side].sum(1).max()), 1)
            for sets in side[is_there]:
                spare = sets[~self.needed[sets]][: most - int(self.needed[sets].sum())]
                self.needed[spare] = True
                reason = f"{reader.name!r} is a grouped convolution, whose groups stay of one size"
                self._evened.update(dict.fromkeys(spare.tolist(), reason))

    def _find_blocked(self) -> dict[int, str]:
        """Set → why a layer needs it although it is constant."""
        blocked = dict(self._evened)
        for reader in self._readers:
            read = _read_by(reader, self.needed[reader.units])
            stuck = read & reader.constant & ~reader.movable
            reason = _stuck_before(self._traced, reader)
            blocked.update(dict.fromkeys(reader.inputs[stuck].tolist(), reason))
        return blocked

    def _find_folded(self) -> Tensor:
        """Bool [sets]: removed, and its nonzero constant is absorbed by a reader."""
        folded = torch.zeros_like(self.needed)
        for reader in self._readers:
            folded[reader.inputs[self._moved(reader)]] = True
        return folded

    def _moved(self, reader: _Reader) -> Tensor:
        """Bool [inputs]: removed, and the layer's bias absorbs a nonzero constant."""
        is_nothing = is_zero(self._traced.read(reader.node), self._traced.axes[reader.node])
        return self._gone(reader) & ~is_nothing

    def _gone(self, reader: _Reader) -> Tensor:
        """Bool [inputs]: removed, and read by a kept unit."""
        gone = ~self.needed[reader.inputs] & reader.constant
        return gone & _read_by(reader, self.needed[reader.units])

    def _plan(self, reader: _Reader) -> LayerPlan:
        kept, inputs_kept = self.needed[reader.units], self.needed[reader.inputs]
        blocked = [self._blocked.get(unit) for unit in reader.units.tolist()]
        stuck = kept & torch.tensor([reason is not None for reason in blocked])
        return LayerPlan(
            node=reader.node,
            name=reader.name,
            layer=reader.layer,
            kept=kept,
            inputs_kept=inputs_kept,
            unread=inputs_kept & ~_read_by(reader, kept) & (reader.name not in self.coupling.whole),
            shift=_shift(self._traced, reader.node, self._moved(reader)),
            folded=~kept & self._folded[reader.units],
            stuck=stuck,
            at_one_size=bool((self._gone(reader) & ~reader.movable_always).any()),
            why=self._why(reader, stuck, blocked),
        )

    def _why(self, reader: _Reader, stuck: Tensor, blocked: list[str | None]) -> str | None:
        if bool(stuck.any()):
            reason = blocked[int(stuck.nonzero()[0])]
            return f"{int(stuck.sum())} dead units stay: {reason}"
        return self.coupling.why(reader.node) or None


def _readers(traced: Traced, coupling: CoupledChannels, policy: Policy) -> list[_Reader]:
    always = constancy(traced)
    here = constancy(traced, one_size=True) if policy.one_size else always
    readers = []
    for node in traced.layers:
        level = level_read(traced, node, here)
        constant = level >= FIXED
        movable_always = _movable(traced, node, level_read(traced, node, always))
        movable = _movable(traced, node, level)
        is_of_rows = traced.values[node].ndim == 2  # a constant row has one value per channel
        if policy.leaves_maps or (policy.one_size and is_of_rows):
            movable = constant
        readers.append(
            _Reader(
                node=node,
                name=str(node.target),
                layer=traced.layer(node),
                inputs=coupling.read[node],
                units=coupling.of[node],
                constant=constant,
                movable=movable,
                movable_always=movable_always,
            )
        )
    return readers


def _movable(traced: Traced, node: fx.Node, level: Tensor) -> Tensor:
    """Bool [inputs]: constants that add one number per unit to the output of the layer."""
    is_even = level == UNIFORM
    if border_value(traced, node) is None:
        return is_even
    return is_even & is_zero(traced.read(node), traced.axes[node])


def _stuck_before(traced: Traced, reader: _Reader) -> str:
    """Reason that a layer cannot absorb a constant."""
    if isinstance(reader.layer, Transposed):
        return f"{reader.name!r} spreads a constant unevenly over its outputs"
    if border_value(traced, reader.node) is not None:
        return f"{reader.name!r} pads a constant with zeros"
    return f"{reader.name!r} reads a constant that depends on the pixel or on the image size"


def _read_by(reader: _Reader, units: Tensor) -> Tensor:
    """Bool [inputs]: which inputs have a nonzero weight in one of these units."""
    weight = (blocks(reader.layer) != 0).any(3).cpu()
    return (weight & units.view(weight.shape[0], -1, 1)).any(1).flatten()


def _shift(traced: Traced, node: fx.Node, moved: Tensor) -> Tensor:
    """What the constant inputs `moved` add to a layer's outputs: [1, units], or a map per unit."""
    layer, axis = traced.layer(node), traced.axes[node]
    value = traced.read(node)[:1]  # constants are the same for every input of a batch
    if not bool(moved.any()):
        return value.new_zeros(1, unit_count(layer))
    with torch.no_grad():
        shift: Tensor = layer(value * shaped(moved.to(value), value.ndim, axis))
        if layer.bias is not None:
            shift = shift - shaped(layer.bias, shift.ndim, axis)
    if shift.ndim == 2 or not bool(is_uniform(shift, axis).all()):
        return shift
    return by_channel(shift, axis).mean(1)[None]

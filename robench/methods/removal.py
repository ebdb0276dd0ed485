"""Which groups of a chain to remove so that a level is reached, without cutting the chain.

A group never goes alone. With a filter goes what reads its output; with the last weight that reads
a filter goes the filter. The zeros of a set of groups are counted after everything that they strand
is gone too, so that whatever compaction can take out has been counted.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from robench.errors import NotApplicableError
from robench.methods.groups import Grouping, GroupKind, blocks
from robench.methods.masks import Masks, zeros_at

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from robench.models.chain import Layer

__all__ = ["ChainGroups", "Part", "Removal"]


@dataclass(frozen=True, eq=False)
class Part:
    """The groups of one layer.

    Attributes:
        layer: the layer.
        prunable: whether its weights may become zero.
        rows: one group a filter or neuron.
        columns: one group an input channel or neuron, or a position of the kernel in one.
        fan: how many columns read each unit of the layer before; 0 in the first layer.
    """

    layer: Layer
    prunable: bool
    rows: Grouping
    columns: Grouping
    fan: int

    def alive(self, rows: Tensor, columns: Tensor) -> Tensor:
        """True at the weights, [G, outputs / G, inputs / G, kernel], in no group that is gone."""
        groups, _, inputs, kernel = self.blocks.shape
        positions = kernel if self.columns.kind == "shape" else 1
        kept_rows = ~rows.view(groups, -1, 1, 1)
        kept = kept_rows & ~columns.view(groups, 1, inputs, positions)
        return kept.expand(self.blocks.shape)

    @property
    def blocks(self) -> Tensor:
        """The weight as [G, outputs / G, inputs / G, kernel]."""
        return blocks(self.rows.weight.detach(), self.rows.conv_groups)


@dataclass(frozen=True)
class Removal:
    """What goes from a chain.

    Attributes:
        rows: for each layer, true at the filters or neurons that are gone.
        columns: for each layer, true at the columns that are gone.
        zeros: how many prunable weights are zero then, counting those that were so before.
    """

    rows: list[Tensor]
    columns: list[Tensor]
    zeros: int


class ChainGroups:
    """The groups of a chain, and what goes with each.

    Args:
        layers: the chain, in forward order.
        prunable: qualified names of the weights that may become zero.
        columns: what a column is; the columns of a Linear are always its inputs.

    Raises:
        NotApplicableError: a layer does not read the layer before it unit by unit.
    """

    def __init__(
        self, layers: Sequence[Layer], prunable: Collection[str], columns: GroupKind
    ) -> None:
        self.parts: list[Part] = []
        units = 0
        for layer in layers:
            inputs = Grouping.of(layer.module, columns)
            if units and inputs.count % units:
                raise NotApplicableError(
                    f"the {inputs.count} inputs of {layer.name!r} do not come from the {units} "
                    "units of the layer before it one by one",
                    where=layer.name,
                )
            rows = Grouping.of(layer.module, "row")
            fan = inputs.count // units if units else 0
            is_prunable = f"{layer.name}.weight" in prunable
            self.parts.append(Part(layer, is_prunable, rows, inputs, fan))
            units = layer.units

    @property
    def removable(self) -> list[Grouping]:
        """Rows of all prunable layers but the output, and columns of all prunable layers."""
        groupings = []
        for part in self.parts:
            if part.prunable:
                groupings += [] if part.layer.is_output else [part.rows]
                groupings.append(part.columns)
        return groupings

    def remove(self, level: float) -> Removal:
        """The weakest groups, as many as the level asks for, or less than one group fewer.

        Groups are ranked over the whole network by their norm over the square root of their size.
        Each layer keeps at least one weight.

        Raises:
            NotApplicableError: the level cannot be reached without cutting the chain.
        """
        self.check_reachable(level)
        wanted = zeros_at(level, self._total)
        order = self._ranking()
        # The more groups go, the more weights are zero: bisect on the longest run that fits.
        fits, too_many = 0, len(order) + 1
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self._without(order[:middle]).zeros <= wanted:
                fits = middle
            else:
                too_many = middle
        return self._fill(order[:fits], order[fits:], wanted)

    def check_reachable(self, level: float) -> None:
        """Make sure that the level leaves the chain whole.

        Raises:
            NotApplicableError: it does not; says which level is the highest.
        """
        most = self._without(self._ranking()).zeros
        if zeros_at(level, self._total) > most + self._total // 1000:
            raise NotApplicableError(
                f"the level {level:g} would remove the last group of a layer",
                allowed=f"up to {math.floor(1000 * most / self._total) / 1000:g} on this network",
                hint="ask for a lower level, or take a larger network",
            )

    def masks(self, removal: Removal) -> Masks:
        """The masks of a removal; weights that were zero before are masked too."""
        masks = Masks()
        spared = dict(self._spared_weights())
        for index, part in enumerate(self.parts):
            alive = part.alive(removal.rows[index], removal.columns[index]) & (part.blocks != 0)
            alive.view(-1)[spared[index]] = True
            if part.prunable:
                masks[f"{part.layer.name}.weight"] = alive.view_as(part.rows.weight)
        return masks

    @property
    def _total(self) -> int:
        return sum(part.rows.weight.numel() for part in self.parts if part.prunable)

    def _fill(self, chosen: Tensor, rest: Tensor, wanted: int) -> Removal:
        """Add what still fits of the other groups, the weakest first, until the level is met."""
        best = self._without(chosen)
        for place in rest:
            if wanted - best.zeros <= self._total // 1000:
                break
            more = torch.cat([chosen, place[None]])
            larger = self._without(more)
            if best.zeros < larger.zeros <= wanted:
                chosen, best = more, larger
        return best

    def _ranking(self) -> Tensor:
        """Places of all groups that may go, among the groups of all layers, the weakest first."""
        scores, spared = [], []
        for index, weight in self._spared_weights():
            part = self.parts[index]
            row, column = self._groups_of(part, weight)
            for grouping, group in ((part.rows, row), (part.columns, column)):
                score = grouping.norms().detach().double() / math.sqrt(grouping.size)
                stays = torch.zeros_like(score, dtype=torch.bool)
                stays[group] = True
                is_output_row = grouping is part.rows and part.layer.is_output
                spared.append(stays if part.prunable and not is_output_row else ~stays | stays)
                scores.append(score)
        order = torch.cat(scores).argsort(stable=True)
        return order[~torch.cat(spared)[order]]

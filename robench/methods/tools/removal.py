"""Which groups of a chain to remove so that a level is reached, without cutting the chain.

A group never goes alone. With a filter goes what reads its output; with the last weight that reads
a filter goes the filter. The zeros of a set of groups are counted after everything that they strand
is gone too, so that whatever compaction can take out has been counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import torch

from robench.errors import LevelNotReachedError, NotApplicableError, TrainingError
from robench.methods.masks import Masks, zeros_at
from robench.methods.tools.frozen_units import Silence
from robench.methods.tools.groups import Grouping, GroupKind, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from torch import Tensor

    from robench.models.chain import Layer

__all__ = ["ChainGroups", "Part", "Removable", "Removal", "longest_run", "require_room"]


class Removable(Protocol):
    """The groups of a network with the weights that it has now, and how they are removed.

    Make a new one when the weights have moved.
    """

    @property
    def removable(self) -> list[tuple[str, Grouping]]:
        """The groups that may go, with the qualified names of their layers."""

    @property
    def zeros(self) -> int:
        """How many prunable weights are zero now, with those that nothing can use for that.

        All of them, where a layer is dead that the network cannot do without.
        """

    def check_reachable(self, level: float) -> None:
        """Make sure, before any training, that so many groups may go.

        Raises:
            LevelNotReachedError: they may not; says which level is the highest.
        """

    def snap(self, level: float) -> tuple[Masks, Silence]:
        """The masks without the weakest groups, and what must be silent for that.

        As many groups go as the level asks for, or fewer by less than one of them. They are ranked
        over the whole network by their norm over the square root of their size. Weights that are
        zero already are masked too.

        Raises:
            LevelNotReachedError: the groups do not come in sizes that make up the level.
        """


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

    @property
    def nonzero(self) -> Tensor:
        """True at the weights that are not zero, [G, outputs / G, inputs / G, kernel]."""
        return self._blocks != 0

    def by_column(self, values: Tensor) -> Tensor:
        """Values of `nonzero`'s shape as [G, rows / G, columns / G, weights in both]."""
        return values.flatten(2)[..., None] if self.columns.kind == "shape" else values

    @property
    def counts(self) -> Tensor:
        """How many weights are not zero in each row and column, [G, rows / G, columns / G]."""
        # A sum of booleans, or over a dimension of one, takes several times as long.
        ones = self.by_column(self._blocks.sign().abs_())
        return ones.sum(3) if ones.shape[3] > 1 else ones[..., 0]

    @property
    def magnitudes(self) -> Tensor:
        """The largest magnitude in each row and column, [G, rows / G, columns / G]."""
        return self.by_column(self._blocks.abs()).amax(3)

    def along_rows(self, values: Tensor) -> Tensor:
        """One value a row as [G, rows / G, 1]."""
        return values.view(self.rows.conv_groups, -1, 1)

    def along_columns(self, values: Tensor) -> Tensor:
        """One value a column as [G, 1, columns / G]."""
        return values.view(self.rows.conv_groups, 1, -1)

    @property
    def _blocks(self) -> Tensor:
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
    """The groups of a chain with the weights that it has now, and what goes with each.

    Make a new one when the weights have moved.

    Args:
        layers: the chain, in forward order.
        prunable: qualified names of the weights that may become zero.
        kinds: what may be chosen: rows, and one kind of columns; other rows and columns go only
            with what is chosen. The columns of a Linear are always its inputs.

    Raises:
        NotApplicableError: a layer does not read the layer before it unit by unit.
    """

    def __init__(
        self, layers: Sequence[Layer], prunable: Collection[str], kinds: Collection[GroupKind]
    ) -> None:
        columns: GroupKind = "shape" if "shape" in kinds else "channel"
        self._kinds = kinds
        self.parts: list[Part] = []
        units = 0
        for layer in layers:
            inputs = Grouping.of(layer.module, columns)
            if units and inputs.count % units:
                raise NotApplicableError(
                    f"the {inputs.count} inputs of {layer.name!r} do not come one by one from the "
                    f"{units} units of the layer before it",
                    where=layer.name,
                )
            rows = Grouping.of(layer.module, "row")
            fan = inputs.count // units if units else 0
            self.parts.append(Part(layer, f"{layer.name}.weight" in prunable, rows, inputs, fan))
            units = layer.units

    @property
    def removable(self) -> list[tuple[str, Grouping]]:
        """Columns of all prunable layers, and rows of all but the output."""
        return [
            (part.layer.name, grouping)
            for part in self.parts
            for grouping in (part.rows, part.columns)
            if self._may_go(part, grouping)
        ]

    @property
    def zeros(self) -> int:
        """How many prunable weights are zero now, or read or lead to nothing but zeros."""
        alive = [counts.sum(dim) for counts in self._counts for dim in (2, 1)]
        dead = (torch.cat([sums.flatten() for sums in alive]) == 0).nonzero().flatten()
        if not len(dead):  # then nothing is stranded, and counting is quick
            weights = [part.rows.weight for part in self.parts if part.prunable]
            return self._total - sum(int(weight.count_nonzero()) for weight in weights)
        return self._without(dead).zeros

    def snap(self, level: float) -> tuple[Masks, Silence]:
        """The masks that `remove` leads to; biases and BatchNorm of rows that go are silent."""
        removal = self.remove(level)
        silence = Silence()
        for part, rows in zip(self.parts, removal.rows, strict=True):
            if part.prunable:
                silence.add(part.layer, rows)
        return self.masks(removal), silence

    def remove(self, level: float) -> Removal:
        """The weakest groups, as many as the level asks for, or less than one group fewer.

        Groups are ranked over the whole network by their norm over the square root of their size.
        Each layer keeps at least one weight.

        Raises:
            LevelNotReachedError: the level cannot be reached without cutting the chain.
            TrainingError: zeros cut the chain already.
        """
        self.check_reachable(level)
        wanted = zeros_at(level, self._total)
        order = self._ranking
        fits = longest_run(order, lambda places: self._without(places).zeros <= wanted)
        return self._fill(order[:fits], order[fits:], wanted)

    def check_reachable(self, level: float) -> None:
        """Make sure that the level leaves the chain whole.

        Raises:
            LevelNotReachedError: it does not; says which level is the highest.
            TrainingError: zeros cut the chain already.
        """
        most = self._without(self._ranking).zeros
        require_room(level, most, self._total, slack=self._total // 1000)

    def masks(self, removal: Removal) -> Masks:
        """The masks of a removal; weights that were zero before are masked too."""
        masks = Masks()
        for part, rows, columns in zip(self.parts, removal.rows, removal.columns, strict=True):
            if part.prunable:
                kept = part.along_rows(~rows) & part.along_columns(~columns)
                alive = part.by_column(part.nonzero) & kept[..., None]
                masks[f"{part.layer.name}.weight"] = alive.view(part.rows.weight.shape)
        return masks

    def _may_go(self, part: Part, grouping: Grouping) -> bool:
        if grouping is part.rows:
            return part.prunable and "row" in self._kinds and not part.layer.is_output
        return part.prunable and grouping.kind in self._kinds

    @cached_property
    def _total(self) -> int:
        return sum(part.rows.weight.numel() for part in self.parts if part.prunable)

    @cached_property
    def _counts(self) -> list[Tensor]:
        return [part.counts for part in self.parts]

    @cached_property
    def _ranking(self) -> Tensor:
        """Places of the groups that may go, the weakest first.

        A place counts through the rows, then the columns, of one layer after another.
        """
        scores = []
        for part in self.parts:
            for grouping in (part.rows, part.columns):
                score = grouping.norms().detach().double() / math.sqrt(grouping.size)
                may_go = self._may_go(part, grouping)
                scores.append(score if may_go else torch.full_like(score, torch.nan))
        flat = torch.cat(scores)
        flat[self._path] = torch.nan  # the last group of a layer stays
        order = flat.argsort(stable=True)
        return order[~flat[order].isnan()]

    @cached_property
    def _path(self) -> Tensor:
        """Places of one row and one column a layer: the path whose weakest weight is strongest."""
        reach = torch.empty(0)
        came_from = []
        for part in self.parts:
            strength = part.magnitudes
            if part.fan:
                strength = strength.minimum(part.along_columns(reach.repeat_interleave(part.fan)))
            strongest = strength.max(2)
            first_column = torch.arange(len(strength), device=strength.device) * strength.shape[2]
            came_from.append((strongest.indices + first_column[:, None]).flatten())
            reach = strongest.values.flatten()
        if not bool(reach.max()):
            raise TrainingError(
                "no path of weights other than zero leads through the network",
                hint="weaken the penalty, so that the network is not cut before the level is met",
            )
        places = []
        row = int(reach.argmax())
        for index in reversed(range(len(self.parts))):
            column_of_row = int(came_from[index][row])
            places += [self._starts[2 * index] + row, self._starts[2 * index + 1] + column_of_row]
            row = column_of_row // max(self.parts[index].fan, 1)
        return torch.tensor(places, device=reach.device)

    @cached_property
    def _sizes(self) -> list[int]:
        return [g.count for part in self.parts for g in (part.rows, part.columns)]

    @cached_property
    def _starts(self) -> list[int]:
        return [sum(self._sizes[:index]) for index in range(len(self._sizes))]

    def _without(self, places: Tensor) -> Removal:
        """What goes when these groups go."""
        gone = torch.zeros(sum(self._sizes), dtype=torch.bool, device=places.device)
        gone[places] = True
        pieces = torch.split(gone, self._sizes)
        rows, columns = list(pieces[::2]), list(pieces[1::2])
        before = -1
        while (now := int(gone.sum())) > before:
            before = now
            self._strand(rows, columns)
        alive = 0
        for part, counts, row, column in zip(self.parts, self._counts, rows, columns, strict=True):
            if part.prunable:
                in_row = counts @ part.along_columns((~column).float()).transpose(1, 2)
                alive += int(in_row[part.along_rows(~row)].double().sum())
        return Removal(rows, columns, self._total - alive)

    def _strand(self, rows: list[Tensor], columns: list[Tensor]) -> None:
        """Take, in place, what the groups that are gone leave without purpose, one layer on."""
        for index, part in enumerate(self.parts):
            if part.fan:
                readers = columns[index].view(-1, part.fan)
                readers |= rows[index - 1][:, None]
                rows[index - 1] |= readers.all(1)
            # In a grouped convolution a filter may lose all that it reads, and a channel all
            # its readers, while the layer lives on.
            own_rows, own_columns = part.along_rows(rows[index]), part.along_columns(columns[index])
            own_rows |= own_columns.all(2, keepdim=True)
            own_columns |= own_rows.all(1, keepdim=True)

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


def longest_run(order: Tensor, fits: Callable[[Tensor], bool]) -> int:
    """How many groups may go, the first in order first.

    Args:
        order: groups, the weakest first.
        fits: whether so many may go. If some may not, then no more than these may.
    """
    most, too_many = 0, len(order) + 1
    while too_many - most > 1:
        middle = (most + too_many) // 2
        if fits(order[:middle]):
            most = middle
        else:
            too_many = middle
    return most


def require_room(
    level: float, most: int, total: int, *, slack: int, limit: str = "the last group of a layer"
) -> None:
    """Make sure that a level is within what a network can lose.

    Args:
        level: share of the weights that are to be zero.
        most: how many can be.
        total: weights.
        slack: by how many the level may be missed.
        limit: what would have to go beyond that.

    Raises:
        LevelNotReachedError: it is not; says which level is the highest.
    """
    if zeros_at(level, total) > most + slack:
        highest = math.floor(1000 * most / total) / 1000
        raise LevelNotReachedError(
            f"the level {level:g} would remove {limit}; this network allows up to {highest:g}",
            achieved=most / total,
            hint="ask for a lower level, or take a larger network",
        )

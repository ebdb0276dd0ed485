"""Which units of a chain can be merged, what reads them, and what that saves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from robench.models.chain import Layer

__all__ = ["Link", "Widths", "links_of", "most_zeros"]


@dataclass(frozen=True, eq=False)
class Link:
    """A layer whose units can be merged, and the next one, which reads them.

    What counts as a unit's activation is what the reader reads of it: behind the activation
    function, BatchNorm, pooling and flatten. Whatever lies between the two layers, the reader alone
    has to change when one unit's activation is expressed by another's.

    Attributes:
        layer: whose units are merged.
        reader: the layer after it.
        index: position of `layer` in the chain.
    """

    layer: Layer
    reader: Layer
    index: int

    def by_unit(self, weight: Tensor) -> Tensor:
        """A weight that reads the units as [outputs, units, weights for each], a view."""
        return weight.view(len(weight), self.layer.units, -1)

    def activations(self, read: Tensor) -> Tensor:
        """What the reader reads as [samples, units, places]: the pixels of a map, or one value."""
        if isinstance(self.reader.module, nn.Linear):
            read = read.flatten(0, -2)
        return read.reshape(len(read), self.layer.units, -1)

    @property
    def takes_constants(self) -> bool:
        """Whether the reader can add a constant: it has a bias, or a BatchNorm right behind it.

        That is exact but for the border of a convolution that pads with zeros, where the kernel
        meets less of the constant than further inside.
        """
        return self.reader.module.bias is not None or self._norm_of_reader is not None

    def add_constants(self, amounts: Tensor) -> None:
        """Add [outputs] to what the reader computes, in place, where it takes constants.

        A reader without bias has them taken from the running mean of the BatchNorm behind it; in
        training that BatchNorm takes any constant away by itself.
        """
        bias, norm = self.reader.module.bias, self._norm_of_reader
        if bias is not None:
            bias.add_(amounts)
        elif norm is not None and norm.running_mean is not None:
            norm.running_mean.sub_(amounts)

    @property
    def _norm_of_reader(self) -> nn.BatchNorm1d | nn.BatchNorm2d | None:
        """The BatchNorm that follows the reader with nothing between them."""
        norm = self.reader.batch_norm
        return norm if norm is not None and self.reader.between[0].module is norm else None


def links_of(layers: Sequence[Layer], prunable: Collection[str]) -> list[Link]:
    """The places in a chain where units can be merged.

    Left out are layers that are not prunable or share their weight with another one, and those
    that a grouped convolution reads, whose filters do not all see both units.

    Args:
        layers: the chain, in forward order.
        prunable: qualified names of the weights that may become zero.
    """
    uses = Counter(id(layer.module.weight) for layer in layers)

    def is_own(layer: Layer) -> bool:
        return f"{layer.name}.weight" in prunable and uses[id(layer.module.weight)] == 1

    def reads_all(reader: Layer, layer: Layer) -> bool:
        module = reader.module
        is_grouped = isinstance(module, nn.Conv2d) and module.groups > 1
        return not is_grouped and module.weight.shape[1] % layer.units == 0

    return [
        Link(layer, reader, index)
        for index, (layer, reader) in enumerate(pairwise(layers))
        if is_own(layer) and is_own(reader) and reads_all(reader, layer)
    ]


class Widths:
    """How many weights go with each unit of a chain, while units go.

    Args:
        layers: the chain.
        links: where units can go.
        alive: how many units are left at each link.
    """

    def __init__(
        self, layers: Sequence[Layer], links: Sequence[Link], alive: Sequence[int]
    ) -> None:
        self._links = list(links)
        self._alive = [layer.units for layer in layers]
        # Inputs of a layer that go one by one, as units of the layer before, and the weights of
        # each of its units for each of them.
        self._inputs = [1] * len(layers)
        self._block = [layer.module.weight[0].numel() for layer in layers]
        for link, units in zip(links, alive, strict=True):
            self._alive[link.index] = units
            self._inputs[link.index + 1] = units
            self._block[link.index + 1] //= link.layer.units

    def cost(self, place: int) -> int:
        """Weights that go with the next unit of a link."""
        index = self._links[place].index
        leads_to = self._block[index] * self._inputs[index]
        return leads_to + self._block[index + 1] * self._alive[index + 1]

    def remove(self, place: int) -> None:
        """Count one unit of a link as gone."""
        index = self._links[place].index
        self._alive[index] -= 1
        self._inputs[index + 1] -= 1

    @property
    def weights(self) -> int:
        """Weights that are left in the chain."""
        blocks = zip(self._alive, self._inputs, self._block, strict=True)
        return sum(units * inputs * block for units, inputs, block in blocks)


def most_zeros(layers: Sequence[Layer], links: Sequence[Link]) -> int:
    """Weights of a chain that go when each link keeps a single unit."""
    full = Widths(layers, links, [link.layer.units for link in links])
    return full.weights - Widths(layers, links, [1] * len(links)).weights

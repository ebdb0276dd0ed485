"""Which units of a chain can be merged, and what reads them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.models.chain import Layer

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

__all__ = ["Link", "Widths", "links_of"]


@dataclass(frozen=True, eq=False)
class Link:
    """A layer whose units can be merged, and the next one, which reads them.

    What counts as the activation of a unit is what the reader reads of it: behind the activation
    function, BatchNorm, pooling and flatten. So the reader alone has to change when a unit's
    activation is expressed by another one's, whatever lies between the two layers.

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
        """What the reader reads as [samples, units, places]: the pixels of a map, or just one."""
        if isinstance(self.reader.module, nn.Linear):
            read = read.flatten(0, -2)
        return read.reshape(len(read), self.layer.units, -1)

    @property
    def takes_constants(self) -> bool:
        """Whether the reader has something to add a constant to: a bias, or a BatchNorm at once.

        It is exact but for the border of a convolution that pads with zeros: there the kernel
        meets less of the constant than the shift says.
        """
        return self.reader.module.bias is not None or self._norm_of_reader is not None

    def shift(self, amounts: Tensor) -> None:
        """Add [outputs] to what the reader computes, in place.

        A reader without bias has it taken from the running mean of the BatchNorm behind it; in
        training that BatchNorm takes away any constant by itself.
        """
        bias, norm = self.reader.module.bias, self._norm_of_reader
        if bias is not None:
            bias.add_(amounts)
        elif norm is not None and norm.running_mean is not None:
            norm.running_mean.sub_(amounts)

    @property
    def _norm_of_reader(self) -> nn.BatchNorm1d | nn.BatchNorm2d | None:
        """The BatchNorm that follows the reader without anything between."""
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
    links = []
    for index, (layer, reader) in enumerate(pairwise(layers)):
        own = all(
            f"{one.name}.weight" in prunable and uses[id(one.module.weight)] == 1
            for one in (layer, reader)
        )
        is_grouped = isinstance(reader.module, nn.Conv2d) and reader.module.groups > 1
        if own and not is_grouped and reader.module.weight.shape[1] % layer.units == 0:
            links.append(Link(layer, reader, index))
    return links


class Widths:
    """How many weights of a chain are left while units go.

    Args:
        layers: the chain.
        links: where its units can go.
        alive: how many units there are at each link.
    """

    def __init__(
        self, layers: Sequence[Layer], links: Sequence[Link], alive: Sequence[int]
    ) -> None:
        self._indices = [link.index for link in links]
        self._units = {layer: [one.units for one in layers][layer] for layer in range(len(layers))}
        linked = set(self._indices)
        self._alive = dict(self._units)
        self._alive |= dict(zip(self._indices, alive, strict=True))
        # Weights of a layer for each of its units, and each unit of the layer before if those go.
        self._block = {
            index: layer.module.weight[0].numel()
            // (self._units[index - 1] if index - 1 in linked else 1)
            for index, layer in enumerate(layers)
        }
        self._linked = linked

    def cost(self, place: int) -> int:
        """Weights that go with one unit at a link."""
        index = self._indices[place]
        before = self._alive[index - 1] if index - 1 in self._linked else 1
        return self._block[index] * before + self._block[index + 1] * self._alive[index + 1]

    def remove(self, place: int) -> None:
        """Count one unit of a link as gone."""
        self._alive[self._indices[place]] -= 1

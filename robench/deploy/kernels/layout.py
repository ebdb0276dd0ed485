"""Where a convolution finds its numbers, and which of its outputs are computed together.

A column (one channel, one position of the kernel) reads the same window of the maps as any other,
shifted. Let the maps lie so that neighbours in a row of the output read neighbours in memory: then
the outputs are sums, over the columns, of shifted vectors times one weight each (Park et al. 2017,
arXiv 1608.01409), and nothing has to be lowered. Padded or strided maps are spread out first: one
plane a channel and phase of the stride. Rows of a plane share the zeros between them.

A tile is what fits into the registers: some vectors of outputs, of several filters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Layout", "Machine", "Segment", "Shape", "Tile", "channels_of"]

_LINE = 16
"""Numbers of a line of the nearest memory."""
_PRODUCT_CYCLES = 4.0
"""From the beginning of a product to its end; others are begun meanwhile."""
_TILE_CYCLES = 40
"""What beginning and ending a tile takes, roughly."""
_VECTORS = 4
"""Vectors of a tile that were quickest where the count of cycles tells no difference."""
_ALIKE = 0.02
_READ_AHEAD = 8
"""Columns."""


@dataclass(frozen=True)
class Machine:
    """What the code is made for.

    Attributes:
        lanes: single-precision numbers of the widest vector.
        registers: vectors that the processor holds.
    """

    lanes: int
    registers: int


@dataclass(frozen=True)
class Shape:
    """One group of a convolution of images, and what follows it.

    Attributes:
        channels: of which the group uses some column.
        filters: that it writes.
        columns: products a number that it writes.
        maps: height and width that it reads.
        kernel, stride, padding, dilation: as a Conv2d has them, vertical first.
        all_channels: of the image, of which the group's are neighbours.
        all_filters: likewise, of what is written.
        has_bias: whether the filters have one.
        added: whether maps of the same size as the outputs are added, before what follows; never
            where they are pooled.
        rectified: whether negative numbers become zero.
        scattered: whether each filter has columns of its own, of which `columns` is the mean.
        pooled: whether the largest of 2 x 2 neighbours is written for each four, rounding down.
    """

    channels: int
    filters: int
    columns: int
    maps: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    all_channels: int = 0
    all_filters: int = 0
    has_bias: bool = True
    added: bool = False
    rectified: bool = False
    pooled: bool = False
    scattered: bool = False

    @property
    def positions(self) -> tuple[int, int]:
        """Rows and places of the convolution's outputs, before they are pooled."""
        down, across = (
            (extent + 2 * beside - apart * (size - 1) - 1) // step + 1
            for extent, beside, apart, size, step in zip(
                self.maps, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return down, across

    @property
    def written(self) -> tuple[int, int]:
        """Height and width of the maps that are written."""
        height, width = self.positions
        return (height // 2, width // 2) if self.pooled else (height, width)


@dataclass(frozen=True)
class Segment:
    """One vector of outputs: where it reads, where it is written, how many lanes it has."""

    read: int
    write: int
    lanes: int


@dataclass(frozen=True)
class Tile:
    """Vectors that are computed together, again and again at equal distances."""

    segments: tuple[Segment, ...]
    repeats: int
    read_step: int
    write_step: int


@dataclass(frozen=True)
class Layout:
    """How a convolution of one shape is computed on one kind of machine."""

    shape: Shape
    machine: Machine

    @cached_property
    def is_spread(self) -> bool:
        """Whether the maps are copied to planes first, or read where they are."""
        return self._is_copied or self._is_flat or self._row_lanes != self.shape.positions[1]

    @cached_property
    def is_staged(self) -> bool:
        """Whether outputs are put down near by first, to be pooled or cut to their rows."""
        if self.shape.pooled:
            return not self.pools_at_once
        return self._is_flat or self._row_lanes != self.shape.positions[1]

    @cached_property
    def pools_at_once(self) -> bool:
        """Whether a tile holds what is pooled together.

        Its segments are pairs then, each above the one that follows it.
        """
        height, width = self.shape.positions
        is_exact = (
            not self._is_flat and self._row_lanes == width and (height % 2, width % 2) == (0, 0)
        )
        return self.shape.pooled and is_exact

    @cached_property
    def phases(self) -> tuple[tuple[int, int], ...]:
        """The phases of the stride, vertical and horizontal, that the kernel reads."""
        rows, places = (
            sorted({position * apart % step for position in range(size)})
            for size, apart, step in zip(
                self.shape.kernel, self.shape.dilation, self.shape.stride, strict=True
            )
        )
        return tuple((row, place) for row in rows for place in places)

    @cached_property
    def pitch(self) -> int:
        """Numbers from one row of a plane to the next."""
        width, beside = self.shape.maps[1], self.shape.padding[1]
        if self.shape.stride[1] == 1:
            return width + beside  # the zeros behind a row are those before the next
        return math.ceil((width + 2 * beside) / self.shape.stride[1])

    @cached_property
    def plane(self) -> int:
        """Numbers of one plane."""
        height, above = self.shape.maps[0], self.shape.padding[0]
        rows = math.ceil((height + 2 * above) / self.shape.stride[0])
        return rows * self.pitch + self.shape.padding[1]

    @cached_property
    def planes(self) -> int:
        """Numbers of all planes, and of what vectors read beyond them, in whole vectors."""
        used = self.plane * len(self.phases) * self.shape.channels
        return (math.ceil(used / self.machine.lanes) + 2) * self.machine.lanes

    @cached_property
    def stage_pitch(self) -> int:
        """Numbers from one row of what is staged to the next."""
        return self.pitch if self._is_flat else self._row_lanes

    @cached_property
    def stage(self) -> int:
        """Numbers of what is staged of one filter."""
        return self.shape.positions[0] * self.stage_pitch + 2 * self.machine.lanes

    @cached_property
    def scratch(self) -> int:
        """Numbers of memory that a call needs for itself."""
        staged = self.stage * self.blocks[0] if self.is_staged else 0
        return (self.planes if self.is_spread else 0) + staged

    def offsets(self, columns: Sequence[tuple[int, int, int]]) -> list[int]:
        """Where each column begins, then where to read on: what is read ahead of the last ones.

        Args:
            columns: channel, row and place of the kernel, in the order of the weights.
        """
        (rows_apart, places_apart), (down, across) = self.shape.dilation, self.shape.stride
        order = {phase: number for number, phase in enumerate(self.phases)}
        ranks = {channel: rank for rank, channel in enumerate(channels_of(columns))}
        found = []
        for channel, row, place in columns:
            below, beside = row * rows_apart, place * places_apart
            if self.is_spread:
                number = ranks[channel] * len(self.phases) + order[below % down, beside % across]
                plane = number * self.plane
            else:
                plane = channel * math.prod(self.shape.maps)
            found.append(plane + below // down * self.pitch + beside // across)
        return found + found[-1:] * _READ_AHEAD

    @property
    def read_ahead(self) -> int:
        """By how many columns memory is read ahead."""
        return _READ_AHEAD

    @cached_property
    def blocks(self) -> tuple[int, int, int]:
        """Filters of the larger blocks, how many of these there are, and blocks in all.

        The other blocks have one filter less.
        """
        count = math.ceil(self.shape.filters / self._extent[0])
        size = math.ceil(self.shape.filters / count)
        return size, count - (size * count - self.shape.filters), count

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """All outputs of one filter."""
        return tuple(self._tiles(self._extent[1]))

    @cached_property
    def _row_lanes(self) -> int:
        """Lanes that a row of outputs takes of its own."""
        return sum(self._vectors(self.shape.positions[1]))

    @cached_property
    def _is_flat(self) -> bool:
        """Whether vectors run on from row to row, over what lies between them.

        That is so where it takes fewer lanes, by what spreading the maps is worth.
        """
        height, width = self.shape.positions
        flat = sum(self._vectors((height - 1) * self.pitch + width))
        own = height * self._row_lanes
        return flat < (own if self._is_copied else 0.9 * own)

    @property
    def _is_copied(self) -> bool:
        return self.shape.padding != (0, 0) or self.shape.stride != (1, 1)

    @cached_property
    def _extent(self) -> tuple[int, int]:
        """Filters and vectors of a tile: what takes the fewest cycles."""
        most = 3 * self.machine.registers // 4  # the rest holds weights, some ahead of their turn
        if self.shape.scattered:
            # No other filter shares what is read: it goes to a product at once.
            together, largest = range(1, 2), most
        else:
            together, largest = range(1, self.shape.filters + 1), most // 2 - 1
        found = {
            (filters, vectors): self._cycles(filters, vectors)
            for vectors in range(2 if self.pools_at_once else 1, largest + 1)
            for filters in together
            if self.shape.scattered or filters * vectors + vectors <= most
        }
        enough = (1 + _ALIKE) * min(found.values())
        alike = (extent for extent, cycles in found.items() if cycles <= enough)
        return min(alike, key=lambda extent: (abs(extent[1] - _VECTORS), -extent[0]))

    def _cycles(self, filters: int, vectors: int) -> float:
        """Roughly, for all outputs."""
        blocks = math.ceil(self.shape.filters / filters)
        own = self.shape.filters / blocks
        at_once = 1 if self.machine.lanes >= _LINE else 2
        total = 0.0
        for tile in self._tiles(vectors):
            lanes = [segment.lanes for segment in tile.segments]
            products = sum(lanes) / self.machine.lanes * own / at_once
            # Two numbers are read a cycle, and memory is read ahead; a vector counts twice where
            # it crosses a line of the memory.
            reads = (sum(2 + one / _LINE for one in lanes) + own) / 2
            column = max(products, reads, _PRODUCT_CYCLES)
            total += tile.repeats * (column * self.shape.columns + _TILE_CYCLES)
        return blocks * total

    def _tiles(self, vectors: int) -> Iterator[Tile]:
        if self._is_flat:
            yield from self._flat_tiles(vectors)
        else:
            yield from self._row_tiles(vectors)

    def _flat_tiles(self, vectors: int) -> Iterator[Tile]:
        height, width = self.shape.positions
        lanes = self._vectors((height - 1) * self.pitch + width)
        places = [sum(lanes[:number]) for number in range(len(lanes))]
        segments = [Segment(place, place, own) for place, own in zip(places, lanes, strict=True)]
        # Tiles of nearly one size, the whole vectors first.
        count = math.ceil(len(lanes) / vectors)
        size = math.ceil(len(lanes) / count)
        whole = sum(own == self.machine.lanes for own in lanes) // size
        if whole:
            step = size * self.machine.lanes
            yield Tile(tuple(segments[:size]), whole, step, step)
        rest = segments[whole * size :]
        if rest:
            yield Tile(tuple(rest), 1, 0, 0)

    def _row_tiles(self, vectors: int) -> Iterator[Tile]:
        """Some whole rows at a time, or a piece of each; pairs of rows where they are pooled."""
        height, width = self.shape.positions
        together = 2 if self.pools_at_once else 1
        row, bands, vectors = self._vectors(width), height // together, vectors // together
        read, write = (
            together * self.pitch,
            self.stage_pitch if self.is_staged else width // together,
        )
        if len(row) > vectors:
            size = math.ceil(len(row) / math.ceil(len(row) / vectors))
            for first in range(0, len(row), size):
                piece = range(first, min(first + size, len(row)))
                yield Tile(tuple(self._band(0, row, piece)), bands, read, write)
            return
        many = math.ceil(bands / math.ceil(bands / (vectors // len(row))))
        whole = range(len(row))
        for first, count, repeats in (
            (0, many, bands // many),
            (bands - bands % many, bands % many, 1),
        ):
            found = (self._band(first + own, row, whole) for own in range(count))
            segments = tuple(segment for band in found for segment in band)
            if segments:
                yield Tile(segments, repeats, count * read, count * write)

    def _band(self, number: int, row: list[int], piece: range) -> Iterator[Segment]:
        """Vectors of one row, or of two that are pooled."""
        for vector in piece:
            place, lanes = sum(row[:vector]), row[vector]
            if self.pools_at_once:
                written = number * (self.shape.positions[1] // 2) + place // 2
                for down in (0, 1):
                    yield Segment((2 * number + down) * self.pitch + place, written, lanes)
            else:
                pitch = self.stage_pitch if self.is_staged else self.shape.positions[1]
                yield Segment(number * self.pitch + place, number * pitch + place, lanes)

    def _vectors(self, numbers: int) -> list[int]:
        """Lanes of the vectors that hold so many numbers; the last ones may be shorter."""
        whole, rest = divmod(numbers, self.machine.lanes)
        found = [self.machine.lanes] * whole
        lanes = self.machine.lanes
        while rest > 0:
            # Half a vector where the rest fits, and never a chain of small ones.
            while lanes > 4 and rest <= lanes // 2:
                lanes //= 2
            found.append(lanes)
            rest -= lanes
        return found


def channels_of(columns: Sequence[tuple[int, int, int]]) -> list[int]:
    """The channels that some column (channel, row, place) is of, in ascending order."""
    return sorted({channel for channel, _, _ in columns})

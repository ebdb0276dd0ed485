"""Memory layout and register tiling of a direct convolution.

A column (one channel, one position of the kernel) reads a shifted window of the input. If
neighbours in a row of the output read neighbours in memory, the outputs are sums over the columns
of shifted vectors times one weight each (Park et al. 2017, arXiv 1608.01409), without im2col. A
padded or strided input is first copied to planes, one per channel and phase of the stride. Rows of
a plane share the padding between them.

A tile is what fits into the vector registers: some vectors of outputs of several filters.
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
"""Float32 numbers per cache line."""
_PRODUCT_CYCLES = 4.0
"""Latency of a fused multiply-add; others overlap with it."""
_TILE_CYCLES = 40
"""Estimated overhead of a tile."""
_VECTORS = 4
"""Preferred vectors per tile, where the estimated cycles are alike."""
_ALIKE = 0.02
"""Share by which estimates may differ and still count as alike."""
_READ_AHEAD = 8
"""Prefetch distance, in columns."""


@dataclass(frozen=True)
class Machine:
    """The target processor.

    Attributes:
        lanes: float32 numbers of the widest vector.
        registers: number of vector registers.
    """

    lanes: int
    registers: int


@dataclass(frozen=True)
class Shape:
    """One group of a convolution, and the fused ops.

    Attributes:
        channels: number of input channels with a nonzero column.
        filters: number of filters of the group.
        columns: multiply-accumulates per output.
        maps: height and width of the input.
        kernel, stride, padding, dilation: as a Conv2d has them, vertical first.
        all_channels: input channels of all groups.
        all_filters: filters of all groups.
        has_bias: whether the filters have a bias.
        added: whether a second input, of the size of the output, is summed before the ReLU; not
            together with `pooled`.
        rectified: whether a ReLU follows.
        scattered: whether each filter has its own columns, `columns` on average.
        pooled: whether max pooling of 2 x 2 with stride 2 follows, which rounds down.
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
        """Height and width of the convolution's output, before pooling."""
        down, across = (
            (extent + 2 * beside - apart * (size - 1) - 1) // step + 1
            for extent, beside, apart, size, step in zip(
                self.maps, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return down, across

    @property
    def written(self) -> tuple[int, int]:
        """Height and width of the output."""
        height, width = self.positions
        return (height // 2, width // 2) if self.pooled else (height, width)


@dataclass(frozen=True)
class Segment:
    """One vector of outputs: read offset, write offset, lanes."""

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
        """Size of one plane, in numbers."""
        height, above = self.shape.maps[0], self.shape.padding[0]
        rows = math.ceil((height + 2 * above) / self.shape.stride[0])
        return rows * self.pitch + self.shape.padding[1]

    @cached_property
    def planes(self) -> int:
        """Size of all planes and of the margin that vectors read beyond them, in numbers."""
        used = self.plane * len(self.phases) * self.shape.channels
        return (math.ceil(used / self.machine.lanes) + 2) * self.machine.lanes

    @cached_property
    def stage_pitch(self) -> int:
        """Row pitch of the staging buffer, in numbers."""
        return self.pitch if self._is_flat else self._row_lanes

    @cached_property
    def stage(self) -> int:
        """Size of the staging buffer of one filter, in numbers."""
        return self.shape.positions[0] * self.stage_pitch + 2 * self.machine.lanes

    @cached_property
    def scratch(self) -> int:
        """Size of the scratch memory of a call, in numbers."""
        staged = self.stage * self.blocks[0] if self.is_staged else 0
        return (self.planes if self.is_spread else 0) + staged

    def offsets(self, columns: Sequence[tuple[int, int, int]]) -> list[int]:
        """Offset of each column's window, then padding for the prefetches of the last columns.

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
        """Prefetch distance, in columns."""
        return _READ_AHEAD

    @cached_property
    def blocks(self) -> tuple[int, int, int]:
        """Filters per large block, number of large blocks, number of all blocks.

        The other blocks have one filter less.
        """
        count = math.ceil(self.shape.filters / self._extent[0])
        size = math.ceil(self.shape.filters / count)
        return size, count - (size * count - self.shape.filters), count

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Tiles that cover all outputs of one filter."""
        return tuple(self._tiles(self._extent[1]))

    @cached_property
    def _row_lanes(self) -> int:
        """Lanes of the vectors that cover one row of outputs."""
        return sum(self._vectors(self.shape.positions[1]))

    @cached_property
    def _is_flat(self) -> bool:
        """Whether vectors run across row ends, over the padding between rows.

        They do if this takes fewer lanes, with an allowance for the copy to planes.
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
        """Filters and vectors per tile, with the fewest estimated cycles."""
        most = 3 * self.machine.registers // 4  # the others hold weights
        if self.shape.scattered:
            # No other filter shares the loaded vector, so it is an operand of the product.
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
        """Estimated cycles for all outputs."""
        blocks = math.ceil(self.shape.filters / filters)
        own = self.shape.filters / blocks
        at_once = 1 if self.machine.lanes >= _LINE else 2
        total = 0.0
        for tile in self._tiles(vectors):
            lanes = [segment.lanes for segment in tile.segments]
            products = sum(lanes) / self.machine.lanes * own / at_once
            # Two loads per cycle, and prefetches; a vector that crosses a cache line counts twice.
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
        """Tiles cover several full rows, or part of a row if it does not fit in registers.

        With pooling they cover pairs of rows.
        """
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
        """Vectors of one row, or of a pair of rows that is pooled."""
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
        """Lanes of the vectors that hold `numbers` numbers; the last ones may be shorter."""
        whole, rest = divmod(numbers, self.machine.lanes)
        found = [self.machine.lanes] * whole
        lanes = self.machine.lanes
        while rest > 0:
            # Half a vector if the rest fits, so that at most one short vector follows.
            while lanes > 4 and rest <= lanes // 2:
                lanes //= 2
            found.append(lanes)
            rest -= lanes
        return found


def channels_of(columns: Sequence[tuple[int, int, int]]) -> list[int]:
    """Channels of the columns (channel, row, place), in ascending order."""
    return sorted({channel for channel, _, _ in columns})

"""LLVM IR of a convolution of one shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from robench.deploy.kernels.code import Code, vector

if TYPE_CHECKING:
    from robench.deploy.kernels.layout import Layout, Segment, Tile

__all__ = ["ENTRY", "written_for"]

ENTRY = "convolve"
_INDICES = "i64 %first_image, i64 %end_image, i64 %first_block, i64 %end_block"
_ZERO = "zeroinitializer"


def written_for(layout: Layout) -> str:
    """Generate a module with one function, :data:`ENTRY`, of this C declaration.

    ``void convolve(const float *images, const float *added, float *outputs, const float *weights,
    const int32_t *channels, const int32_t *offsets, const float *bias, float *scratch,
    int64_t first_image, int64_t end_image, int64_t first_block, int64_t end_block)``

    `images` is [N, all channels, H, W] from the group's first channel on; `added` and `outputs` are
    [N, all filters, H', W'] from its first filter on; `weights` is [filters, columns]. `channels`
    are the used channels, `offsets` and the size of `scratch` are those of :class:`Layout`, blocks
    are blocks of filters. If columns are scattered, `weights` holds the nonzero weights of one
    filter after the other, each with its offset, and `channels` is followed by the first index of
    each filter and the end of the last one; no filter may be empty.
    """
    code = Code()
    writer = _Writer(code, layout)
    large, many, count = layout.blocks
    writer.block(large)
    if many < count:
        writer.block(large - 1)
    if layout.is_spread:
        writer.spread()
    writer.entry()
    writer.declarations()
    return str(code)


class _Writer:
    def __init__(self, code: Code, layout: Layout) -> None:
        self.code, self.layout, self.shape = code, layout, layout.shape
        self._lanes: set[int] = set()
        self._masked: set[int] = set()

    def entry(self) -> None:
        """For each image: copy it to padded planes, then compute block after block of filters."""
        code, shape = self.code, self.shape
        height, width = shape.written
        large, many, count = self.layout.blocks
        head = (
            f"void @{ENTRY}(ptr %images, ptr %added, ptr %outputs, ptr %weights, ptr %channels, "
            f"ptr %offsets, ptr %bias, ptr %scratch, {_INDICES})"
        )
        with code.function(head), code.loop("%end_image", "%first_image") as images:
            distance = shape.all_channels * shape.maps[0] * shape.maps[1]
            maps = code.at("%images", code.let(f"mul i64 {images.index}, {distance}"))
            behind = code.let(f"mul i64 {images.index}, {shape.all_filters * height * width}")
            outputs, added = (code.at(start, behind) for start in ("%outputs", "%added"))
            stage = "%scratch"
            if self.layout.is_spread:
                code.do(f"  call void @spread(ptr {maps}, ptr %channels, ptr %scratch)")
                maps = "%scratch"
                stage = code.at("%scratch", self.layout.planes)
            with code.loop("%end_block", "%first_block") as blocks:
                fewer = code.let(f"call i64 @llvm.umin.i64(i64 {blocks.index}, i64 {many})")
                filters = code.let(f"mul i64 {blocks.index}, {large - (many < count)}")
                if many < count:
                    filters = code.let(f"add i64 {filters}, {fewer}")
                behind = code.let(f"mul i64 {filters}, {height * width}")
                own = 0 if shape.scattered else code.let(f"mul i64 {filters}, {shape.columns}")
                places = (
                    maps,
                    code.at(added, behind),
                    code.at("%weights", own),
                    code.at(code.at("%channels", shape.channels, "i32"), blocks.index, "i32"),
                    "%offsets",
                    code.at("%bias", filters),
                    code.at(outputs, behind),
                    stage,
                )
                passed = f"({', '.join(f'ptr {place}' for place in places)})"
                if many < count:
                    is_large = code.let(f"icmp ult i64 {blocks.index}, {many}")
                    calls = tuple(f"call void @block{size}{passed}" for size in (large, large - 1))
                    code.choose(is_large, (calls[0], calls[1]))
                else:
                    code.do(f"  call void @block{large}{passed}")

    def spread(self) -> None:
        """Copy the input to planes, zero-padded."""
        code, layout, shape = self.code, self.layout, self.shape
        height, width = shape.maps
        phases = len(layout.phases)
        names = ("%maps", "%channels", "%planes")
        with code.function(f"internal void @spread({_unshared(names)})"):
            with code.loop(shape.channels) as channels:
                own = code.load("i32", code.at("%channels", channels.index, "i32"))
                own = code.let(f"zext i32 {own} to i64")
                maps = code.at("%maps", code.let(f"mul i64 {own}, {height * width}"))
                distance = phases * layout.plane
                planes = code.at("%planes", code.let(f"mul i64 {channels.index}, {distance}"))
                for number, phase in enumerate(layout.phases):
                    self._plane(maps, code.at(planes, number * layout.plane), phase)
            beyond = layout.planes - shape.channels * phases * layout.plane
            self._clear(code.at("%planes", layout.planes - beyond), beyond)

    def _plane(self, maps: str, plane: str, phase: tuple[int, int]) -> None:
        """One channel and phase: element (r, p) is pixel (r · stride + phase − padding, …)."""
        code, shape, pitch = self.code, self.shape, self.layout.pitch
        rows, places = (
            range(-((own - beside) // step), -((own - beside - extent) // step))
            for own, beside, step, extent in zip(
                phase, shape.padding, shape.stride, shape.maps, strict=True
            )
        )
        if not (rows and places):  # the stride passes over all pixels in this phase
            self._clear(plane, self.layout.plane)
            return
        first = rows.start * shape.stride[0] + phase[0] - shape.padding[0]
        left = places.start * shape.stride[1] + phase[1] - shape.padding[1]
        begin, beyond = rows.start * pitch + places.start, rows.stop * pitch + places.start
        self._clear(plane, begin)
        with code.loop(len(rows)) as down:
            read = code.let(f"mul i64 {down.index}, {shape.stride[0] * shape.maps[1]}")
            read = code.at(code.at(maps, first * shape.maps[1] + left), read)
            write = code.at(code.at(plane, begin), code.let(f"mul i64 {down.index}, {pitch}"))
            cleared = self._row(read, write, len(places))
            self._clear(code.at(write, cleared), pitch - cleared)
        self._clear(code.at(plane, beyond), self.layout.plane - beyond)

    def _row(self, read: str, write: str, count: int) -> int:
        """Copy a row; number of elements written, trailing zeros included.

        The zeros may overlap the next row, which is written later, but stay within the margin.
        """
        code, step = self.code, self.shape.stride[1]
        if step > 1:
            with code.loop(count) as across:
                pixel = code.at(read, code.let(f"mul i64 {across.index}, {step}"))
                code.store("float", code.load("float", pixel), code.at(write, across.index))
            return count
        lanes = self.layout.machine.lanes
        for place in range(0, count, lanes):
            value = self._masked_load(lanes, min(lanes, count - place), code.at(read, place))
            code.store(vector(lanes), value, code.at(write, place))
        return min(math.ceil(count / lanes) * lanes, self.layout.pitch)

    def _clear(self, place: str, count: int) -> None:
        if count:
            self.code.do(
                f"  call void @llvm.memset.p0.i64(ptr align 4 {place}, i8 0, i64 {4 * count}, "
                "i1 false)"
            )

    def block(self, filters: int) -> None:
        """All outputs of a block of filters."""
        code = self.code
        names = ("%maps", "%added", "%weights", "%range", "%offsets", "%bias", "%outputs", "%stage")
        with code.function(f"internal void @block{filters}({_unshared(names)})"):
            starts = [self._start(number) for number in range(filters)]
            for tile in self.layout.tiles:
                if tile.repeats == 1:
                    self._tile(tile, starts, "%maps", 0)
                    continue
                with code.loop(tile.repeats) as turns:
                    read = code.let(f"mul i64 {turns.index}, {tile.read_step}")
                    write = code.let(f"mul i64 {turns.index}, {tile.write_step}")
                    self._tile(tile, starts, code.at("%maps", read), write)
            if self.layout.is_staged:
                with code.loop(filters) as own:
                    self._finish(own.index)

    def _start(self, number: int) -> str:
        if not self.shape.has_bias:
            return "0.0"
        return self.code.load("float", self.code.at("%bias", number))

    def _tile(self, tile: Tile, starts: list[str], maps: str, write: str | int) -> None:
        code, segments = self.code, tile.segments
        carried = [
            (vector(segment.lanes), self._first(segment, number, write, start))
            for number, start in enumerate(starts)
            for segment in segments
        ]
        first, end = self._range()
        with code.loop(end, first, carried=carried) as columns:
            sums = iter(columns.carried)
            read = [self._read(segment, maps, columns.index) for segment in segments]
            self._read_ahead(segments, maps, columns.index)
            weights = code.at("%weights", columns.index)
            results = []
            for number in range(len(starts)):
                weight = code.load("float", code.at(weights, number * self.shape.columns))
                for segment, vectors in zip(segments, read, strict=True):
                    results.append(self._sum(segment.lanes, vectors, weight, next(sums)))
            columns.carry(results)
        values = iter(columns.results)
        for number in range(len(starts)):
            self._store_all(segments, number, write, [next(values) for _ in segments])

    def _range(self) -> tuple[str | int, str | int]:
        """First and end index of the columns."""
        if not self.shape.scattered:
            return 0, self.shape.columns
        edges = [self.code.load("i32", self.code.at("%range", edge, "i32")) for edge in (0, 1)]
        first, end = (self.code.let(f"zext i32 {edge} to i64") for edge in edges)
        return first, end

    def _store_all(
        self, segments: tuple[Segment, ...], number: int, write: str | int, values: list[str]
    ) -> None:
        """Store the sums of one filter."""
        if self.layout.pools_at_once:
            pairs = zip(values[::2], values[1::2], segments[::2], strict=True)
            for above, below, segment in pairs:
                largest = self._largest(segment.lanes, above, below)
                self._store_one(segment, number, write, largest)
        else:
            for value, segment in zip(values, segments, strict=True):
                self._store_one(segment, number, write, value)

    def _first(self, segment: Segment, number: int, write: str | int, start: str) -> str:
        """Initial value of a sum: bias plus the fused operand."""
        value = self.code.splat(segment.lanes, start)
        if not self.shape.added or self.layout.is_staged:
            return value
        place = self._written("%added", segment, number, write)
        return self._plus(segment.lanes, value, place)

    def _plus(self, lanes: int, value: str, place: str, count: int | None = None) -> str:
        """Add a vector from memory, of which only the first `count` elements may exist."""
        own = self._masked_load(lanes, lanes if count is None else count, place)
        return self.code.let(f"fadd {vector(lanes)} {value}, {own}")

    def _written(self, maps: str, segment: Segment, number: int, write: str | int) -> str:
        """Address of a segment of one filter in a tensor of the outputs' size."""
        height, width = self.shape.written
        place = self.code.at(maps, number * height * width + segment.write)
        return self.code.at(place, write)

    def _read(self, segment: Segment, maps: str, column: str) -> str:
        return self.code.load(vector(segment.lanes), self._place(maps, column, segment.read))

    def _place(self, maps: str, column: str, beyond: int) -> str:
        code = self.code
        offset = code.let(f"sext i32 {code.load('i32', code.at('%offsets', column, 'i32'))} to i64")
        return code.at(code.at(maps, offset), beyond)

    def _read_ahead(self, segments: tuple[Segment, ...], maps: str, column: str) -> None:
        """Prefetch what a later column reads: it lies in another channel, far away in memory."""
        later = self.code.let(f"add i64 {column}, {self.layout.read_ahead}")
        for segment in segments:
            place = self._place(maps, later, segment.read)
            self.code.do(f"  call void @llvm.prefetch.p0(ptr {place}, i32 0, i32 3, i32 1)")

    def _sum(self, lanes: int, read: str, weight: str, so_far: str) -> str:
        self._lanes.add(lanes)
        kind, weights = vector(lanes), self.code.splat(lanes, weight)
        return self.code.let(
            f"call {kind} @llvm.fma.v{lanes}f32({kind} {read}, {kind} {weights}, {kind} {so_far})"
        )

    def _store_one(self, segment: Segment, number: int, write: str | int, value: str) -> None:
        code, layout = self.code, self.layout
        lanes = segment.lanes // (2 if layout.pools_at_once else 1)
        if layout.is_staged:
            place = code.at(code.at("%stage", number * layout.stage + segment.write), write)
        else:
            place = self._written("%outputs", segment, number, write)
            value = self._relu(lanes, value)
        code.store(vector(lanes), value, place)

    def _relu(self, lanes: int, value: str) -> str:
        if not self.shape.rectified:
            return value
        kind = vector(lanes)
        # NaN stays NaN, as in torch.
        negative = self.code.let(f"fcmp olt {kind} {value}, {_ZERO}")
        return self.code.let(f"select <{lanes} x i1> {negative}, {kind} {_ZERO}, {kind} {value}")

    def _finish(self, filter_number: str) -> None:
        """Copy rows of one filter from the staging buffer to the output, with ReLU and pooling."""
        code, layout = self.code, self.layout
        height, width = self.shape.written
        staged = code.at("%stage", code.let(f"mul i64 {filter_number}, {layout.stage}"))
        behind = code.let(f"mul i64 {filter_number}, {height * width}")
        outputs, added = (code.at(start, behind) for start in ("%outputs", "%added"))
        with code.loop(height) as down:
            rows = layout.stage_pitch * (2 if self.shape.pooled else 1)
            read = code.at(staged, code.let(f"mul i64 {down.index}, {rows}"))
            behind = code.let(f"mul i64 {down.index}, {width}")
            write, beside = code.at(outputs, behind), code.at(added, behind)
            lanes = layout.machine.lanes // (2 if self.shape.pooled else 1)
            for place in range(0, width, lanes):
                count = min(lanes, width - place)
                value = self._pooled(read, place, lanes)
                if self.shape.added:
                    value = self._plus(lanes, value, code.at(beside, place), count)
                value = self._relu(lanes, value)
                self._masked_store(lanes, count, value, code.at(write, place))

    def _pooled(self, read: str, place: int, lanes: int) -> str:
        """Elements of a row, or the maximum of 2 x 2 neighbours."""
        code = self.code
        if not self.shape.pooled:
            return code.load(vector(lanes), code.at(read, place))
        wide = vector(2 * lanes)
        above, below = (
            code.load(wide, code.at(read, 2 * place + down))
            for down in (0, self.layout.stage_pitch)
        )
        return self._largest(2 * lanes, above, below)

    def _largest(self, lanes: int, above: str, below: str) -> str:
        """Maximum of 2 x 2 neighbours in two rows."""
        code, wide = self.code, vector(lanes)
        rows = self._larger(lanes, above, below)
        left, right = (
            code.let(
                f"shufflevector {wide} {rows}, {wide} poison, {_every_other(lanes // 2, first)}"
            )
            for first in (0, 1)
        )
        return self._larger(lanes // 2, left, right)

    def _larger(self, lanes: int, one: str, other: str) -> str:
        kind = vector(lanes)
        # NaN wins on either side, as in torch.
        is_one = self.code.let(f"fcmp ogt {kind} {one}, {other}")
        is_lost = self.code.let(f"fcmp uno {kind} {one}, {one}")
        taken = self.code.let(f"or <{lanes} x i1> {is_one}, {is_lost}")
        return self.code.let(f"select <{lanes} x i1> {taken}, {kind} {one}, {kind} {other}")

    def _masked_load(self, lanes: int, count: int, place: str) -> str:
        """Masked load: the first `count` elements, zeros after them; nothing beyond is read."""
        kind = vector(lanes)
        if count == lanes:
            return self.code.load(kind, place)
        self._masked.add(lanes)
        return self.code.let(
            f"call {kind} @llvm.masked.load.v{lanes}f32.p0"
            f"(ptr align 4 {place}, {_first_of(lanes, count)}, {kind} {_ZERO})"
        )

    def _masked_store(self, lanes: int, count: int, value: str, place: str) -> None:
        """Masked store of the first `count` elements."""
        kind = vector(lanes)
        if count == lanes:
            self.code.store(kind, value, place)
            return
        self._masked.add(lanes)
        self.code.do(
            f"  call void @llvm.masked.store.v{lanes}f32.p0"
            f"({kind} {value}, ptr align 4 {place}, {_first_of(lanes, count)})"
        )

    def declarations(self) -> None:
        code = self.code
        for lanes in sorted(self._lanes):
            kind = vector(lanes)
            code.do(f"declare {kind} @llvm.fma.v{lanes}f32({kind}, {kind}, {kind})")
        for lanes in sorted(self._masked):
            kind, mask = vector(lanes), f"<{lanes} x i1>"
            code.do(f"declare {kind} @llvm.masked.load.v{lanes}f32.p0(ptr, {mask}, {kind})")
            code.do(f"declare void @llvm.masked.store.v{lanes}f32.p0({kind}, ptr, {mask})")
        code.do("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        code.do("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        code.do("declare i64 @llvm.umin.i64(i64, i64)")


def _unshared(names: tuple[str, ...]) -> str:
    """Parameters that do not alias each other."""
    return ", ".join(f"ptr noalias {name}" for name in names)


def _every_other(lanes: int, first: int) -> str:
    places = ", ".join(f"i32 {place}" for place in range(first, 2 * lanes, 2))
    return f"<{lanes} x i32> <{places}>"


def _first_of(lanes: int, count: int) -> str:
    bits = ", ".join(f"i1 {int(lane < count)}" for lane in range(lanes))
    return f"<{lanes} x i1> <{bits}>"

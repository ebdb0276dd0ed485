"""Where a kernel finds its numbers: every output once, and each column where it lies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from robench.deploy.kernels.layout import Layout, Machine, Shape, channels_of

MACHINES = (Machine(16, 32), Machine(8, 16), Machine(4, 32))

some = settings(max_examples=150, deadline=None)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    pairs = {
        name: (draw(values), draw(values))
        for name, values in {
            "kernel": st.integers(1, 5),
            "stride": st.integers(1, 4),
            "padding": st.integers(0, 3),
            "dilation": st.integers(1, 2),
        }.items()
    }
    maps = tuple(
        draw(st.integers(max(1, apart * (size - 1) + 1 - 2 * beside), 40))
        for size, beside, apart in zip(
            pairs["kernel"], pairs["padding"], pairs["dilation"], strict=True
        )
    )
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 40))
    shape = Shape(
        channels=channels, filters=filters, columns=channels * pairs["kernel"][0], maps=maps,
        all_channels=channels, all_filters=filters, pooled=draw(st.booleans()), **pairs,
    )  # fmt: skip
    return Layout(shape, draw(st.sampled_from(MACHINES)))


def columns_of(shape: Shape) -> list[tuple[int, int, int]]:
    return list(itertools.product(range(shape.channels), *(range(size) for size in shape.kernel)))


def planes(layout: Layout, maps: torch.Tensor) -> np.ndarray:
    """What the maps are spread to, by the definition of a phase; what is not written is not 0."""
    shape = layout.shape
    if not layout.is_spread:
        return maps.numpy().ravel()
    above, beside = shape.padding
    padded = F.pad(maps, (beside, beside, above, above)).numpy()
    found = np.full(layout.planes, np.nan, dtype=np.float32)
    for channel, (row, place) in itertools.product(range(shape.channels), layout.phases):
        number = channel * len(layout.phases) + layout.phases.index((row, place))
        own = found[number * layout.plane : (number + 1) * layout.plane]
        own[:] = 0
        part = padded[channel, row :: shape.stride[0], place :: shape.stride[1]]
        for down, numbers in enumerate(part):
            # Zeros at the end of a row are those at the beginning of the next.
            start = down * layout.pitch
            own[start : start + len(numbers)] += numbers[: len(own) - start]
    return found


@some
@given(layout=layouts())
def test_columns_are_read_where_they_lie(layout: Layout) -> None:
    shape = layout.shape
    maps = torch.rand(shape.channels, *shape.maps) + 1
    spread = planes(layout, maps)
    columns = columns_of(shape)
    offsets = layout.offsets(columns)
    height, width = shape.positions
    windows = F.unfold(maps[None], shape.kernel, shape.dilation, shape.padding, shape.stride).view(
        len(columns), height, width
    )
    rows = np.arange(height)[:, None] * layout.pitch + np.arange(width)
    for offset, window in zip(offsets, windows.numpy(), strict=False):
        np.testing.assert_array_equal(spread[offset + rows], window)
    assert len(offsets) == len(columns) + layout.read_ahead
    assert offsets[len(columns) :] == [offsets[len(columns) - 1]] * layout.read_ahead


@some
@given(layout=layouts())
def test_every_output_is_computed_once(layout: Layout) -> None:
    height, width = layout.shape.positions
    written = np.zeros(height * width * 4 + layout.stage, dtype=int)
    largest = max(layout.offsets(columns_of(layout.shape)))
    maps = layout.shape.channels * layout.shape.maps[0] * layout.shape.maps[1]
    memory = layout.planes if layout.is_spread else maps
    for tile in layout.tiles:
        for turn, segment in itertools.product(range(tile.repeats), tile.segments):
            begin = segment.write + turn * tile.write_step
            written[begin : begin + segment.lanes // (2 if layout.pools_at_once else 1)] += 1
            assert largest + segment.read + turn * tile.read_step + segment.lanes <= memory
    if layout.pools_at_once:
        # Each place is that of a pair of segments.
        assert (written[: height * width // 4] == 2).all()
        assert not written[height * width // 4 :].any()
    else:
        pitch = layout.stage_pitch if layout.is_staged else width
        rows = np.arange(height)[:, None] * pitch + np.arange(width)
        assert (written[rows] == 1).all()
        assert not written[layout.stage :].any() or not layout.is_staged
        assert layout.is_staged or not written[height * width :].any()


@some
@given(layout=layouts())
def test_tiles_fit_into_the_registers_and_blocks_hold_all_filters(layout: Layout) -> None:
    large, many, count = layout.blocks
    assert large * many + (large - 1) * (count - many) == layout.shape.filters
    assert 1 <= many <= count
    assert large > 1 or many == count
    for tile in layout.tiles:
        assert (large + 1) * len(tile.segments) < layout.machine.registers
        assert {segment.lanes for segment in tile.segments} <= {4, 8, 16}


@pytest.mark.parametrize("machine", MACHINES)
def test_maps_that_need_no_copy_are_read_in_place(machine: Machine) -> None:
    shape = Shape(1, 10, 25, (28, 28), (5, 5), all_channels=1, all_filters=10)
    layout = Layout(shape, machine)
    assert not layout.is_spread
    assert not layout.is_staged
    assert layout.scratch == 0
    assert layout.offsets([(0, 2, 3)])[0] == 2 * 28 + 3


def test_channels_without_a_column_are_left_out() -> None:
    shape = Shape(2, 4, 3, (6, 6), (3, 3), padding=(1, 1), all_channels=9, all_filters=4)
    columns = [(3, 0, 0), (3, 1, 1), (7, 2, 2)]
    assert channels_of(columns) == [3, 7]
    layout = Layout(shape, MACHINES[0])
    first, second, third = layout.offsets(columns)[:3]
    assert (first, second) == (0, layout.pitch + 1)
    assert third == layout.plane + 2 * layout.pitch + 2

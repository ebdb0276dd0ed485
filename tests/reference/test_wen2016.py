"""The published table against what else the authors say about it."""

from __future__ import annotations

from statistics import fmean

import pytest

from robench.reference.wen2016 import CONVOLUTIONS, ENTRIES, Entry


def entry(row: int) -> Entry:
    (found,) = (entry for entry in ENTRIES if entry.row == row)
    return found


@pytest.mark.parametrize(("row", "cpu", "gpu"), [(1, 3.0, 0.9), (2, 5.1, 3.1), (5, 1.4, 1.4)])
def test_means_are_those_that_the_authors_print(row: int, cpu: float, gpu: float) -> None:
    assert round(fmean(entry(row).speedup_cpu), 1) == cpu
    assert round(fmean(entry(row).speedup_gpu), 1) == gpu


def test_shapes_are_those_of_alexnet() -> None:
    """96 · 55², 256 · 27² and so on; 2.3 million weights and 666 million multiply-accumulates."""
    sizes = [(c.maps_px + 2 * c.padding - c.kernel_px) // c.stride + 1 for c in CONVOLUTIONS]
    assert sizes == [55, 27, 13, 13, 13]
    weights = [c.filters * c.channels // c.groups * c.kernel_px**2 for c in CONVOLUTIONS]
    assert weights == [34_848, 307_200, 884_736, 663_552, 442_368]
    macs = sum(count * size**2 for count, size in zip(weights, sizes, strict=True))
    assert round(macs / 1e6) == 666


def test_rows_and_columns_are_of_ssl_and_scattered_zeros_of_l1() -> None:
    for found in ENTRIES:
        assert any(found.sparsity) == (found.method == "l1")
        assert any(found.columns) == (found.method == "ssl")
        assert all(0 <= p < 100 for p in (*found.sparsity, *found.columns, *found.rows))
        assert found.top1_error < 45


def test_zeros_of_rows_and_columns_overlap() -> None:
    assert entry(1).zeros(2) == 0.972
    assert entry(2).zeros(3) == pytest.approx(1 - 0.153 * 0.531, abs=1e-4)
    assert entry(5).zeros(0) == 0


def test_each_row_is_a_whole_number_of_filters() -> None:
    """A percentage that no number of filters gives would be a slip of the pen."""
    for found in ENTRIES:
        for percent, conv in zip(found.rows, CONVOLUTIONS, strict=True):
            nearest = round(percent / 100 * conv.filters) / conv.filters
            assert round(100 * nearest, 1) == percent

"""The declaration of the stage layers: its cells belong to no network."""

from __future__ import annotations

from pathlib import Path

from robench.reference.wen2016 import CONVOLUTIONS, ENTRIES
from robench.spec import load_suite
from robench.stages.declarations.layers import LayerOptions, Layers


def test_one_cell_for_each_entry_layer_and_batch_size(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: l\nversion: 1\nlayers: {batch_sizes: [1, 4]}\n")
    cells = list(Layers().cells(load_suite(path), "cpu"))
    assert len(cells) == 2 * len(ENTRIES) * len(CONVOLUTIONS)
    assert len({cell.id for cell in cells}) == len(cells)
    options = [cell.options_as(LayerOptions) for cell in cells]
    assert {option.batch_size for option in options} == {1, 4}
    assert {cell.level for cell in cells} == {
        entry.zeros(place) for entry in ENTRIES for place in range(len(CONVOLUTIONS))
    }
    assert not Layers.needs_network


def test_a_suite_that_does_not_ask_has_none(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nversion: 1\ndata: digits\nmodels: [mlp]\nmethods: [halo]\n")
    assert list(Layers().cells(load_suite(path), "cpu")) == []

"""Layers at published sparsities on the board: measured and published figures side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from robench.board import build_board, summary_text
from robench.board.charts.drawing import Drawing
from robench.board.model.layers import layer_tables
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.model.tables import Table
from robench.board.views import views_of
from robench.engine.plan import plan
from robench.spec import Metric, PluginRef, Record, load_suite
from robench.store import Store

if TYPE_CHECKING:
    from tests.board.conftest import Elements

MACHINE = {"machine": {"cpu": "Imaginary 9000", "key": "k"}, "started": "2030-01-01T00:00:00+00:00"}


def speedup(value: float, measure: str, size: int) -> Metric:
    condition = {"measure": measure, "batch_size": size}
    return Metric(
        name="speedup", value=value, n=15, low=0.9 * value, high=1.1 * value, condition=condition
    )


@pytest.fixture(scope="module")
def of_layers() -> list[Record]:
    """All cells of the suite; a layer is row + place times faster, its product twice that."""
    made = []
    for cell in plan(load_suite("alexnet-speed"), device="cpu"):
        size = cell.options["batch_size"]
        value = float(cell.options["row"]) + int(cell.options["layer"][-1]) / 10
        metrics = (speedup(value, "layer", size), speedup(2 * value, "product", size))
        made.append(Record(id=cell.id, cell=cell, status="ok", metrics=metrics, provenance=MACHINE))
    return made


def noisy(record: Record) -> Record:
    changes = {"status": "noisy", "reason": "latency varied too much", "metrics": ()}
    return record.model_copy(update=changes)


def column(table: Table, head: str) -> list[str]:
    place = table.full_heads.index(head)
    return [row[place].text for row in table.rows]


def test_a_whole_layer_says_how_it_was_computed(of_layers) -> None:
    said = [one.model_copy(update={"details": {"form": "direct"}}) for one in of_layers]
    (table,) = layer_tables(said)
    assert [entry.note for entry in table.rows[6][3:5]] == ["[1.89, 2.31] direct", "[3.78, 4.62]"]


def test_measured_and_published_figures_stand_in_columns_of_their_own(of_layers) -> None:
    (table,) = layer_tables(of_layers)
    assert table.caption == (
        "Measured on cpu (Imaginary 9000), one thread; suite alexnet-speed, version 1."
    )
    assert column(table, "layer") == [*(f"conv{n}" for n in range(1, 6)), "mean"] * 4
    ssl = slice(6, 12)  # the second row of the published table
    assert column(table, "published, matrix product: Xeon E5-2630, ×")[ssl] == [
        "1.05", "3.37", "6.27", "9.73", "4.93", "5.1",
    ]  # fmt: skip
    assert column(table, "published, matrix product: TITAN Black, ×")[ssl] == [
        "1.00", "2.37", "4.94", "4.03", "3.05", "3.1",
    ]  # fmt: skip
    assert column(table, "measured, batch of 16: whole layer, ×")[ssl] == [
        "2.10", "2.20", "2.30", "2.40", "2.50", "2.30",
    ]  # fmt: skip
    assert column(table, "measured, batch of 1: matrix product, ×")[6] == "4.20"
    assert table.rows[6][3].note == "[1.89, 2.31]"
    assert column(table, "zeros")[7] == "63.2% columns, 12.9% rows"
    assert column(table, "zeros")[0] == "67.6% weights"


def test_what_is_noisy_or_missing_says_so_and_has_no_mean(of_layers) -> None:
    kept = [noisy(of_layers[0]), *of_layers[2:]]
    (table,) = layer_tables(kept)
    whole = column(table, "measured, batch of 1: whole layer, ×")
    assert (whole[0], whole[5], whole[11]) == ("noisy", "–", "2.30")
    assert column(table, "measured, batch of 16: whole layer, ×")[0] == "–"


def test_the_newest_of_a_place_counts_and_machines_are_kept_apart(of_layers) -> None:
    first = of_layers[0]
    later = {**MACHINE, "started": "2031-01-01T00:00:00+00:00"}
    change = {"metrics": (speedup(7.0, "layer", 1),), "provenance": later, "id": "0" * 16}
    newer = first.model_copy(update=change)
    (table,) = layer_tables([newer, first])
    assert column(table, "measured, batch of 1: whole layer, ×")[0] == "7.00"
    elsewhere = {"provenance": {"machine": {"cpu": "Other"}}}
    captions = [t.caption for t in layer_tables([first, newer.model_copy(update=elsewhere)])]
    assert len(captions) == 2
    assert "Other" in captions[1]


@pytest.mark.parametrize("spoil", [lambda record: record, noisy], ids=["ok", "noisy"])
def test_a_folder_of_layers_alone_gives_a_sensible_page(
    of_layers, parse: Callable[[str], Elements], tmp_path: Path, spoil
) -> None:
    store = Store(tmp_path / "r")
    for record in of_layers:
        store.write(spoil(record))
    page = build_board(store.records(), tmp_path / "site")
    html = page.read_text()
    sections = [element.attributes["id"] for element in parse(html).of("section")]
    is_noisy = spoil is noisy
    assert sections == ["layers", "coverage"] if is_noisy else ["layers"]
    assert "0 (data set × model)" not in html
    assert "% of applicable cells" not in html
    readme = (tmp_path / "site" / "README.md").read_text()
    assert "All rows" not in readme
    assert "| conv3 | 76.9% columns, 40.6% rows |" in readme
    csv = (tmp_path / "site" / "results.csv").read_text()
    assert "wen2016-conv3" in csv


def test_whole_networks_know_nothing_of_layers(
    of_layers, records: list[Record], board: Leaderboard, views: dict[str, Drawing]
) -> None:
    together = leaderboard([*records, *of_layers])
    assert together.rows == board.rows
    assert together.coverage == board.coverage
    assert together.left_out == board.left_out
    assert (together.methods, together.panels) == (board.methods, board.panels)
    found = {view.key: view.spec for view in views_of(together)}
    assert list(found) == [*views, "layers"]
    assert found == {**{key: view.spec for key, view in views.items()}, "layers": None}


def test_the_summary_of_layers_is_their_table(of_layers, make) -> None:
    mlp = (PluginRef(name="mlp", version=1),)
    records = make(data=("digits",), models=mlp, levels=(0.9,), distortions=(), seeds=1)
    text = summary_text(of_layers, width=140)
    assert "Imaginary 9000" in text
    assert any(line.split()[:1] == ["conv4"] and "9.73" in line for line in text.splitlines())
    assert "seeds" not in text
    assert "accuracy" not in text
    assert max(map(len, summary_text(of_layers, width=80).splitlines())) <= 80
    both = summary_text([*records, *of_layers], width=140)
    assert both.startswith(summary_text(records, width=140).rstrip("\n")[:200])
    assert "conv4" in both

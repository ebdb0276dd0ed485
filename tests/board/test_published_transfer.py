from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from robench.board.published_transfer import published_matrix, published_picture
from robench.spec.distortion import EVERYTHING
from robench.stats.transfer import PUBLISHED_LEVELS

SVG = "{http://www.w3.org/2000/svg}"


def test_twenty_networks_and_nine_tests() -> None:
    table = published_matrix()
    names = [f"A{n}" for n in range(1, 10)] + [f"B{n}" for n in range(1, 10)] + ["C1", "C2"]
    assert list(table.index) == names
    assert list(table.columns) == ["trained_on", "epochs", "clean", *PUBLISHED_LEVELS]
    # Three figures that the paper tells: no transfer between the two kinds of noise.
    assert table.loc["A8", "uniform-noise"] == 10.2
    assert table.loc["A9", "salt-and-pepper"] == 6.2
    assert table.loc["C1", "uniform-noise"] == 11.0


def test_trainings_are_named_as_the_board_names_them() -> None:
    for name in published_matrix()["trained_on"]:
        left_out = name.removeprefix("all but ")
        kinds = [left_out] if name != left_out else name.split(" + ")
        assert set(kinds) <= {*EVERYTHING, "greyscale"}


def test_the_figures_are_those_of_the_trials(data_root: Path) -> None:
    file = data_root.parent / "reference" / "geirhos_training_heatmap.csv"
    if not file.is_file():
        pytest.skip("the recomputed figures are not beside the data")
    with file.open() as opened:
        recomputed = list(csv.DictReader(opened))
    table = published_matrix()
    for row, test in zip(recomputed, table.columns[2:], strict=True):
        for network in table.index:
            assert float(row[network]) == table.loc[network, test]


def test_the_picture_shows_every_figure_once_and_outlines_own_noise() -> None:
    root = ET.fromstring(published_picture())
    shown = [text.text for text in root.iter(f"{SVG}text")]
    table = published_matrix()
    cells = [f"{value:.0f}" for row in table.iloc[:, 2:].to_numpy() for value in row]
    assert sorted(text for text in shown if text in set(cells)) == sorted(cells)
    outlined = [rect for rect in root.iter(f"{SVG}rect") if rect.get("fill") == "none"]
    assert len(outlined) == 9 + 8 * 2 + 1 + 2 * 7


def test_the_picture_is_as_large_as_what_is_in_it() -> None:
    root = ET.fromstring(published_picture())
    width, height = float(root.get("width")), float(root.get("height"))
    for rect in root.iter(f"{SVG}rect"):
        assert float(rect.get("x")) + float(rect.get("width")) <= width
        assert float(rect.get("y")) + float(rect.get("height")) <= height

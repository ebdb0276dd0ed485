from __future__ import annotations

import csv
from pathlib import Path

import pytest

from robench.reference.published_transfer import PUBLISHED_LEVELS, published_matrix
from robench.spec.distortion import EVERYTHING


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

"""Functions of the public face that join several rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

import robench
from robench.engine.progress import Silent
from robench.errors import PluginError, RobenchError, StoreError

SUITE = """name: a
version: 1
data: digits
models: [{name: mlp, widths: [8]}]
methods: [dense]
levels: [0.5]
seeds: 1
recipe: {dense_steps: 2, sparse_steps: 2}
"""


@pytest.fixture
def results(tmp_path: Path) -> robench.Results:
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    return robench.run(
        tmp_path / "suite.yaml", results=tmp_path / "r", jobs=0, progress=Silent(), only="dense"
    )


def test_a_run_gives_its_records_a_table_and_what_failed(results: robench.Results) -> None:
    assert {record.status for record in results.records} == {"ok"}
    assert results.failed == results.noisy == ()
    table = results.table()
    assert set(table["id"]) == {record.id for record in results.records}
    assert "accuracy" in set(table["metric"])


def test_a_board_lies_in_the_results_folder_unless_it_is_asked_elsewhere(
    results: robench.Results, tmp_path: Path
) -> None:
    assert results.records
    assert robench.build_board(tmp_path / "r") == tmp_path / "r" / "board" / "index.html"
    page = robench.build_board(tmp_path / "r", tmp_path / "site")
    assert {path.name for path in page.parent.iterdir()} == {
        "index.html",
        "results.csv",
        "README.md",
        "plots",
    }


def test_mistakes_are_errors_of_robench(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no records"):
        robench.build_board(tmp_path)
    with pytest.raises(PluginError, match="no plug-in file"):
        robench.build_board(tmp_path, plugins=[tmp_path / "mine.py"])
    with pytest.raises(RobenchError):
        robench.run("qiuck", results=tmp_path)

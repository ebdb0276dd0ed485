"""`robench board`, from a run to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def suite(tiny) -> Path:
    return tiny()


def test_run_show_and_board(robench, suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "r"
    status, out, err = robench("run", suite, "--results", results, "--jobs", "0")
    assert status == 0, err
    assert "magnitude" in out
    assert "4 cells to do" in err
    cell = next((results / "cells").glob("*/*.json")).stem

    status, out, _ = robench("show", cell[:8], "--results", results)
    assert status == 0
    assert cell in out
    status, out, _ = robench("show", cell, "--results", results, "--json")
    assert json.loads(out)["id"] == cell

    status, out, _ = robench("board", results, "--out", tmp_path / "board")
    assert status == 0
    page = tmp_path / "board" / "index.html"
    assert str(page) in out
    assert page.is_file()


def test_the_board_leaves_a_truncated_record_out_and_says_so(
    robench, suite: Path, tmp_path: Path, caplog
) -> None:
    results = tmp_path / "r"
    robench("run", suite, "--results", results, "--jobs", "0")
    record = min((results / "cells").glob("*/*.json"))
    record.write_bytes(record.read_bytes()[:100])
    status, _, _ = robench("board", results, "--out", tmp_path / "board")
    assert status == 0
    assert str(record) in caplog.text
    assert "damaged" in caplog.text
    assert record.exists(), "reading must lose nothing"


def test_show_and_board_of_nothing(robench, tmp_path: Path) -> None:
    status, _, err = robench("show", "abc", "--results", tmp_path)
    assert status == 2
    assert "there is no cell 'abc'" in err
    status, _, err = robench("board", tmp_path)
    assert status == 2
    assert "no records" in err

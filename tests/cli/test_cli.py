"""The command line as a user meets it: words, exit statuses, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def suite(tiny) -> Path:
    return tiny()


def test_without_a_word_it_shows_the_verbs(robench) -> None:
    _, out, err = robench()
    for verb in ("run", "list", "show", "board", "doctor", "new"):
        assert verb in out + err


@pytest.mark.parametrize(
    ("what", "some"),
    [
        ("methods", ["halo", "ssl", "magnitude"]),
        ("models", ["lenet-5", "convnet"]),
        ("datasets", ["digits", "image-folder"]),
        ("attacks", ["deepfool", "ddn"]),
        ("degradations", ["low-pass"]),
        ("suites", ["quick", "smoke", "mnist"]),
    ],
)
def test_list_shows_names_with_a_line_each(robench, what, some) -> None:
    status, out, _ = robench("list", what)
    assert status == 0
    for name in some:
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 3, f"{name} has no summary"


def test_list_of_something_else(robench) -> None:
    status, _, err = robench("list", "method")
    assert status == 2
    assert "did you mean 'methods'" in err


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


def test_mistakes_exit_with_two_and_one_message(robench, tiny, suite: Path, tmp_path: Path) -> None:
    tiny(levels="[1.5]")
    status, _, err = robench("run", suite, "--results", tmp_path / "r")
    assert status == 2
    assert f"{suite}:7" in err

    tiny(methods="[hallo]")
    status, _, err = robench("run", suite, "--results", tmp_path / "r")
    assert status == 2
    assert "did you mean 'halo'" in err

    tiny(methods="[{name: halo, xy: 3}]")
    status, _, err = robench("run", suite, "--results", tmp_path / "r")
    assert status == 2
    assert "no parameter 'xy'" in err
    assert f"{suite}:6" in err


def test_missing_data_say_where_they_were_looked_for(robench, tiny, tmp_path: Path) -> None:
    suite = tiny(data="{name: image-folder, path: nowhere}")
    status, _, err = robench("run", suite, "--data", tmp_path, "--results", tmp_path / "r")
    assert status == 2
    assert "nowhere" in err
    assert str(tmp_path) in err


def test_an_unknown_engine(robench, suite: Path, tmp_path: Path) -> None:
    status, _, err = robench("run", suite, "--engine", "rya", "--results", tmp_path / "r")
    assert status == 2
    assert "did you mean 'ray'" in err


def test_show_and_board_of_nothing(robench, tmp_path: Path) -> None:
    status, _, err = robench("show", "abc", "--results", tmp_path)
    assert status == 2
    assert "there is no cell 'abc'" in err
    status, _, err = robench("board", tmp_path)
    assert status == 2
    assert "no records" in err


def test_a_broken_plugin_names_its_line(robench, suite: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("\n\nraise ValueError('oh')\n")
    status, _, err = robench("run", suite, "--plugin", plugin, "--results", tmp_path / "r")
    assert status == 2
    assert f"{plugin}:3" in err


def test_doctor_reports_the_machine(robench, tmp_path: Path) -> None:
    status, out, _ = robench("doctor", "--data", tmp_path / "nowhere")
    assert status == 0
    assert "torchvision" in out
    assert "missing" in out


@pytest.mark.parametrize("name", ["My Method", "9lives", "a--b", ""])
def test_new_refuses_bad_names(robench, name: str, tmp_path: Path) -> None:
    status, _, err = robench("new", "method", name, "--to", tmp_path)
    assert status == 2
    assert "lower-case" in err


def test_new_never_overwrites(robench, tmp_path: Path) -> None:
    assert robench("new", "method", "my-method", "--to", tmp_path)[0] == 0
    status, _, err = robench("new", "method", "my-method", "--to", tmp_path)
    assert status == 2
    assert "exists already" in err


def test_a_run_some_of_whose_cells_failed_says_so_by_its_status(
    robench, tiny, tmp_path: Path
) -> None:
    suite = tiny(methods="[dense]")
    plugin = Path(__file__).parents[1] / "plugins" / "stumbling.py"
    words = ("run", suite, "--results", tmp_path / "r", "--jobs", "0")
    status, out, _ = robench(*words, "--plugin", plugin)
    assert status == 3
    assert "1 of 5 cells failed" in out
    # What does not apply has not failed, and without the plug-in all is well.
    assert robench(*words)[0] == 0


def test_the_help_of_run_explains_its_exit_statuses(robench) -> None:
    status, out, _ = robench("run", "--help")
    assert status == 0
    for code in ("0", "1", "2", "3", "130"):
        assert any(line.split()[:1] == [code] for line in out.splitlines())

"""`robench run`: mistakes and exit statuses."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def suite(tiny) -> Path:
    return tiny()


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


def test_a_broken_plugin_names_its_line(robench, suite: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("\n\nraise ValueError('oh')\n")
    status, _, err = robench("run", suite, "--plugin", plugin, "--results", tmp_path / "r")
    assert status == 2
    assert f"{plugin}:3" in err


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

"""`robench claims` at the command line; the judging itself is in tests/claims."""

from __future__ import annotations

from pathlib import Path


def test_without_a_folder_or_with_a_name_that_is_none_it_says_what_to_do(
    robench, tmp_path: Path
) -> None:
    status, _, err = robench("claims", tmp_path / "nowhere")
    assert status == 2
    assert "--run" in err
    status, _, err = robench("claims", tmp_path, "--only", "hallo")
    assert status == 2
    assert "did you mean 'halo'" in err


def test_an_empty_folder_has_no_verdicts_and_names_the_suites(robench, tmp_path: Path) -> None:
    status, out, _ = robench("claims", tmp_path, "--only", "halo")
    assert status == 0
    assert "not enough records" in out
    assert "suite methods" in out

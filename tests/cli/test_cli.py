"""The command line as a user meets it: words, exit statuses, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def suite(tiny) -> Path:
    return tiny()


def test_without_a_word_it_shows_the_verbs(robench) -> None:
    _, out, err = robench()
    for verb in ("run", "list", "show", "board", "doctor", "new"):
        assert verb in out + err


def test_doctor_reports_the_machine(robench, tmp_path: Path) -> None:
    status, out, _ = robench("doctor", "--data", tmp_path / "nowhere")
    assert status == 0
    assert "torchvision" in out
    assert "missing" in out

"""Options that take one of a few words."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def suite(tiny) -> Path:
    return tiny()


def test_an_unknown_engine(robench, suite: Path, tmp_path: Path) -> None:
    status, _, err = robench("run", suite, "--engine", "rya", "--results", tmp_path / "r")
    assert status == 2
    assert "did you mean 'ray'" in err

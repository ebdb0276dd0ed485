"""`robench new`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def suite(tiny) -> Path:
    return tiny()


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

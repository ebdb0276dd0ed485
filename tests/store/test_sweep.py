"""What dead processes left behind goes, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robench.store.leases import Leases
from robench.store.sweep import sweep


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def temporary(root: Path, writer: int, name: str = "abc.json") -> Path:
    path = root / "cells" / "ab" / f".{name}.{writer}-00ff00ff"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    return path


def test_half_written_files_of_the_dead_go_and_those_of_the_living_stay(
    tmp_path: Path, dead: int
) -> None:
    gone, kept = temporary(tmp_path, dead), temporary(tmp_path, os.getpid())
    record = tmp_path / "cells" / "ab" / "abc.json"
    record.write_text("{}")
    leases = Leases(tmp_path)
    leases.open()
    try:
        assert sweep(leases) == 1
    finally:
        leases.close()
    assert not gone.exists()
    assert kept.exists()
    assert record.exists()


def test_what_no_process_is_known_of_goes_when_it_is_old(tmp_path: Path) -> None:
    old, new = (tmp_path / "cells" / "ab" / f".{name}" for name in ("old", "new"))
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_text("")
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    leases = Leases(tmp_path)
    leases.open()
    try:
        assert sweep(leases) == 1
    finally:
        leases.close()
    assert not old.exists()
    assert new.exists()

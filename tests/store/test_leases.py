"""Which run does which cell, with processes that live and die."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from robench.store import leases as module
from robench.store.leases import Leases, OtherRun
from robench.store.owner import Owner
from robench.store.sweep import sweep

CELL = "0123456789abcdef"


@pytest.fixture
def opened(tmp_path: Path):
    """``opened()``: the leases of one more run in the same folder."""
    made: list[Leases] = []

    def maker() -> Leases:
        made.append(Leases(tmp_path))
        made[-1].open()
        return made[-1]

    yield maker
    for one in made:
        one.close()


def pretend(run: Leases, **owner: object) -> None:
    """Let a run seem to be that of another process."""
    known = OtherRun.model_validate_json(run.run_file.read_bytes())
    changed = known.model_copy(update={"owner": known.owner.model_copy(update=owner)})
    run.run_file.write_text(changed.model_dump_json())


def test_one_run_alone_gets_a_cell(opened) -> None:
    runs = [opened() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for number in range(50):
            won = list(threads.map(lambda run, cell=f"{number:016x}": run.acquire(cell), runs))
            assert won.count(True) == 1
    assert len(runs[0].others()) == 7


def test_a_lease_that_is_given_up_is_free(opened) -> None:
    one, other = opened(), opened()
    assert one.acquire(CELL)
    assert one.acquire(CELL), "it has it already"
    assert not other.acquire(CELL)
    assert other.is_leased(CELL)
    assert not one.is_leased(CELL), "by another run"
    one.release(CELL)
    assert not other.is_leased(CELL)
    assert other.acquire(CELL)


def test_what_a_dead_process_had_is_taken_over_by_one(opened) -> None:
    dead, *living = (opened() for _ in range(5))
    assert dead.acquire(CELL)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pretend(dead, pid=process.pid, born=psutil.Process(process.pid).create_time())
    assert not living[0].acquire(CELL)
    process.kill()  # and nobody waits for it: a zombie is dead
    deadline = time.monotonic() + 10
    while living[0].is_leased(CELL) and time.monotonic() < deadline:
        time.sleep(0.01)
    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(lambda run: run.acquire(CELL), living))
    process.communicate()
    assert won.count(True) == 1
    # It holds what it took over, until it gives it up.
    assert sum(run.acquire(CELL) for run in living) == 1
    living[won.index(True)].release(CELL)
    assert living[won.index(True) - 1].acquire(CELL)


def test_a_later_process_of_the_same_number_is_another(opened) -> None:
    one, other = opened(), opened()
    pretend(one, born=psutil.Process().create_time() - 1000)
    assert not other.is_alive(one.token)
    assert other.others() == []


def test_a_run_on_another_machine_is_dead_when_it_is_silent(opened, monkeypatch) -> None:
    far, here = opened(), opened()
    pretend(far, machine="elsewhere", pid=1)
    assert far.acquire(CELL)
    assert not here.acquire(CELL)
    silent = here.run_file.stat().st_mtime - module._SILENT_S - 10
    os.utime(far.run_file, (silent, silent))
    assert here.acquire(CELL)


def test_what_the_dead_left_is_swept_and_nothing_else(opened, tmp_path: Path) -> None:
    dead, here = opened(), opened()
    assert dead.acquire(CELL)
    pretend(dead, pid=2**22 + 1)  # beyond what a system gives
    folder = tmp_path / "cells" / "01"
    folder.mkdir(parents=True)
    left = folder / f".{CELL}.json.{2**22 + 1}-0011aabb"
    own = folder / f".{CELL}.json.{os.getpid()}-0011aabb"
    old = folder / f".{CELL}.json.0011aabb"  # as earlier versions named them
    record = folder / f"{CELL}.json"
    for path in (left, own, old, record):
        path.touch()
    assert sweep(here) == 1
    assert [path.exists() for path in (left, own, old, record)] == [False, True, True, True]
    assert not dead.run_file.exists()
    assert list((tmp_path / ".claims").iterdir()) == []
    os.utime(old, (0, 0))
    assert sweep(here) == 1
    assert not old.exists()


def test_half_written_files_of_another_machine_stay_while_it_lives(opened, tmp_path: Path) -> None:
    far, here = opened(), opened()
    pretend(far, machine="elsewhere", pid=1)
    path = tmp_path / "cells" / "01" / f".x.json.{2**22 + 1}-0011aabb"
    path.parent.mkdir(parents=True)
    path.touch()
    assert sweep(here) == 0
    assert path.exists()


def test_this_process_is_alive() -> None:
    own = Owner.this_process()
    assert own.is_alive()
    assert own.model_copy(update={"machine": "elsewhere"}).is_alive() is None
    assert own.model_copy(update={"pid": 2**22 + 1}).is_alive() is False

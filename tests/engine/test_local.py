"""The engine against plug-ins that die, raise, hang and lie; with real worker processes."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

import robench
from robench.engine.progress import Silent
from robench.spec import Cell, Record
from robench.store import Store

FAULTY = Path(__file__).parent.parent / "plugins" / "faulty.py"


def by_method(results: robench.Results) -> dict[str, robench.spec.Record]:
    return {r.cell.method.name: r for r in results.records if r.cell.role == "result"}


def test_faults_are_rows_and_harm_nobody_else(tiny, tmp_path: Path) -> None:
    suite = tiny(
        methods="[dies, raises, diverges, sleeps, stubborn, declines, misses, halo]",
        cell_limit_s="4",
        evaluate="{degrade: {kinds: [contrast], samples: 20}}",
    )
    results = robench.run(
        suite, results=tmp_path / "r", jobs=2, plugins=[FAULTY], progress=Silent()
    )
    trained = {
        r.cell.method.name: r
        for r in results.records
        if r.cell.role == "result" and r.cell.stage == "train"
    }
    statuses = {name: record.status for name, record in trained.items()}
    assert statuses == {
        "dies": "interrupted",
        "raises": "failed",
        "diverges": "failed",
        "sleeps": "over-budget",
        "stubborn": "over-budget",
        "declines": "not-applicable",
        "misses": "failed",
        "halo": "ok",
        "dense": "ok",
        "random": "ok",
        "magnitude": "ok",
    }
    reasons = {name: record.reason or "" for name, record in trained.items()}
    assert "SIGKILL" in reasons["dies"]
    assert "a mistake of mine" in reasons["raises"]
    assert "faulty.py" in reasons["raises"]
    assert "3 times in a row" in reasons["dies"]
    assert "4 s" in reasons["sleeps"]
    assert "4 s" in reasons["stubborn"]
    assert "it never wants to" in reasons["declines"]
    assert "level" in reasons["misses"]
    assert "loss" in reasons["diverges"]
    # What hangs off a network that is not there is a row too, with the reason.
    degraded = {r.cell.method.name: r for r in results.records if r.cell.stage == "degrade"}
    assert {name: record.status for name, record in degraded.items()} == statuses
    assert "is missing" in (degraded["dies"].reason or "")


class Watching(Silent):
    """Notes which cells are in the workers' hands, each time that one is handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight: dict[str, str] = {}
        self.together: list[set[str]] = []
        self.processes: set[object] = set()

    def started(self, cell: Cell) -> None:
        self.in_flight[cell.id] = cell.stage
        self.together.append(set(self.in_flight))

    def finished(self, record: Record) -> None:
        super().finished(record)
        self.in_flight.pop(record.id, None)
        self.processes.add(record.provenance.get("process"))


@pytest.mark.slow
def test_nothing_runs_beside_a_cell_that_takes_time(tiny, tmp_path: Path) -> None:
    suite = tiny(
        methods="[dense, magnitude]",
        evaluate="{speed: {batch_sizes: [2], forms: []}, degrade: {samples: 5}}",
    )
    watch = Watching()
    results = robench.run(suite, results=tmp_path / "r", jobs=2, progress=watch)
    timed = {r.id for r in results.records if r.cell.stage == "speed"}
    assert len(timed) == 3
    assert all(len(together) == 1 for together in watch.together if together & timed)
    assert any(len(together) > 1 for together in watch.together)
    # Taken again by themselves, they start one worker alone.
    again = Watching()
    robench.run(suite, results=tmp_path / "r", jobs=2, progress=again, force="speed")
    assert len(again.processes) == 1
    assert set.union(*again.together) == timed


# A process that was started in the background may have inherited that interrupts are ignored.
RUN = """\
import signal, sys
from robench.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["robench", "run", {suite!r}, "--results", {results!r}, "--jobs", "2"]
if __name__ == "__main__":
    main()
"""


def start_run(suite: Path, results: Path, folder: Path) -> subprocess.Popen[str]:
    script = folder / "start.py"
    script.write_text(RUN.format(suite=str(suite), results=str(results)))
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_records(process: subprocess.Popen[str], store: Store, count: int) -> None:
    deadline = time.monotonic() + 240
    while len(store.records()) < count:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no records appeared: {process.communicate()}")
        time.sleep(0.05)


@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(signal.SIGINT, id="interrupt", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, id="kill"),
    ],
)
def test_a_run_that_is_stopped_goes_on_where_it_was(tiny, tmp_path: Path, kill) -> None:
    # Long enough that it is not over before it is stopped.
    suite = tiny(seeds="3", levels="[0.5, 0.8]", recipe="{dense_steps: 200, sparse_steps: 200}")
    store = Store(tmp_path / "r")
    process = start_run(suite, store.root, tmp_path)
    wait_for_records(process, store, 6)
    if kill == signal.SIGINT:
        process.send_signal(kill)
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted" in messages
        assert "Traceback" not in messages
    else:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(kill)
        process.communicate(timeout=60)
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive, "workers outlived the run"
    before = {record.id: record for record in store.records() if record.status == "ok"}
    assert len(before) >= 6
    assert store.damaged == []

    results = robench.run(suite, results=store.root, jobs=0, progress=Silent())
    assert not results.failed
    assert len(results.records) > len(before), "the run was over before it was stopped"
    after = {record.id: record for record in results.records}
    assert all(after[cell_id] == record for cell_id, record in before.items())
    assert results.run.done == len(after) - len(before)


@pytest.mark.slow
def test_workers_and_this_process_give_the_same_records(tiny, tmp_path: Path) -> None:
    suite = tiny(methods="[halo, ssl]", evaluate="{degrade: {samples: 20}}")
    alone = robench.run(suite, results=tmp_path / "a", jobs=0, progress=Silent())
    together = robench.run(suite, results=tmp_path / "b", jobs=2, progress=Silent())
    untimed = [
        [(r.id, r.status, [m for m in r.metrics if m.name != "train_s"]) for r in results.records]
        for results in (alone, together)
    ]
    assert untimed[0] == untimed[1]


@pytest.mark.slow
def test_two_runs_share_the_work_of_a_folder(tiny, tmp_path: Path) -> None:
    suite = tiny(
        seeds="6",
        recipe="{dense_steps: 100, sparse_steps: 200}",
        evaluate="{speed: {batch_sizes: [2], forms: []}}",
    )
    store = Store(tmp_path / "r")
    started = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        started.append(start_run(suite, store.root, tmp_path / name))
    said = [process.communicate(timeout=600)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert any("works in this folder: the cells are shared" in text for text in said)
    records = store.records()
    assert len(records) == 6 * 7
    # Each cell was done once, some by each run, and no two that take time at the same time.
    done = [int(re.findall(r"(\d+) done", text)[-1]) for text in said]
    parents = {psutil.Process().pid, *(process.pid for process in started)}
    assert not parents & {record.provenance["process"] for record in records}
    assert sum(done) >= len(records), done
    spans = sorted(
        (datetime.fromisoformat(str(r.provenance["started"])), float(str(r.provenance["wall_s"])))
        for r in records
        if r.cell.stage == "speed"
    )
    for (start, wall_s), (following, _) in itertools.pairwise(spans):
        # Starts are recorded to the second.
        assert following >= start + timedelta(seconds=wall_s - 1)

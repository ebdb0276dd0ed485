"""Running a suite: what is missing is done, what is there stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robench.engine.context import Setting, is_worker
from robench.engine.external import ExternalModel, plan_external
from robench.engine.local import run_in_process, run_in_workers
from robench.engine.plan import plan, select
from robench.engine.progress import Progress, choose_progress
from robench.engine.resume import Standing, standing
from robench.engine.run_plugins import with_guests
from robench.engine.schedule import Schedule
from robench.engine.worker import load_plugins
from robench.errors import UsageError
from robench.spec import Cell, Record, Suite
from robench.store import Store
from robench.store.leases import Leases
from robench.store.sweep import sweep

__all__ = ["Engine", "Run", "default_jobs", "run_suite"]

Engine = Literal["local", "ray"]

_FAILURES = ("failed", "over-budget", "noisy")
"""What is done again where failed cells are retried."""


@dataclass(frozen=True)
class Run:
    """What a run was about, and where its records are."""

    suite: Suite
    cells: tuple[Cell, ...]
    """All cells of the suite that were asked for."""
    done: int
    """How many of these this run did; the others were there, or another run did them."""
    store: Store

    def records(self) -> list[Record]:
        """The records of the cells that were asked for, in the order of the plan."""
        by_id = {record.id: record for record in self.store.records()}
        return [by_id[cell.id] for cell in self.cells if cell.id in by_id]


def default_jobs() -> int:
    """As many workers as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_suite(
    suite: Suite,
    *,
    results: Path,
    jobs: int | None = None,
    engine: Engine = "local",
    plugins: Sequence[Path] = (),
    only: str | None = None,
    force: str | None = None,
    retry_failed: bool = False,
    data_root: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    given: ExternalModel | None = None,
) -> Run:
    """Do what a suite asks for and is not there yet.

    Args:
        suite: a checked suite.
        results: the folder of records.
        jobs: worker processes; `None` is one for each core, 0 runs the cells in this process.
        engine: ``local`` or ``ray``.
        plugins: files with plug-ins of one's own; their methods join every grid of the suite, their
            stages its evaluations, and their attacks run as guests beside its attack suites.
        only: a pattern of labels, or an id; other cells are left out.
        force: a pattern of cells that are done again although they are there.
        retry_failed: do failed, over-budget and noisy cells again.
        data_root: where data sets lie that are not embedded.
        device: ``cpu``, ``cuda`` or ``auto``; `None` is what the suite says.
        progress: is told what happens; `None` chooses by whether there is a terminal.
        given: a trained network to evaluate, in place of those that the suite trains.

    Raises:
        UsageError: a mistake in the suite, the plug-ins, the data or the folder, before any work.
        KeyboardInterrupt: the run was interrupted; what was finished stays.
    """
    if is_worker():
        raise UsageError(
            "a run was started in a worker process of another run",
            hint="a plug-in file must not call robench.run when it is imported: put the call under "
            "`if __name__ == '__main__':`, or into a file of its own",
        )
    store = Store(results)
    store.check_writable()
    progress = progress or choose_progress()
    found = load_plugins(plugins)
    with progress.of_loggers():
        place = resolve_device(device or suite.device)
        guests = [name for kind, name in found if kind == "method"]
        suite = with_guests(suite, found)
        if given is not None:
            cells = plan_external(
                suite, given, data_root=data_root, device=place, note=progress.note
            )
        else:
            cells = plan(
                suite, data_root=data_root, device=place, guests=guests, note=progress.note
            )
    cells = _only(cells, only)
    leases = Leases(results.resolve())
    setting = Setting(
        results=results.resolve(),
        data_root=data_root,
        plugins=tuple(Path(p).resolve() for p in plugins),
        stages=frozenset(cell.stage for cell in cells),
        limit_s=suite.cell_limit_s,
        run_file=leases.run_file,
    )
    again = {"interrupted", *(_FAILURES if retry_failed else ())}
    leases.open()
    try:
        sweep(leases)
        there = standing(store, cells, leases, progress.note, force=force, again=again)
        done = _carry_out(there, setting, leases, progress, engine=engine, jobs=jobs)
        # A network that was trained again may have other weights than its evaluations speak of.
        if done and (there := standing(store, cells, leases, progress.note)).pending:
            done += _carry_out(there, setting, leases, progress, engine=engine, jobs=jobs)
    finally:
        leases.close()
    return Run(suite, tuple(cells), done, store)


def _carry_out(
    there: Standing,
    setting: Setting,
    leases: Leases,
    progress: Progress,
    *,
    engine: Engine,
    jobs: int | None,
) -> int:
    """Do what is pending; gives the number of records that this run has written."""
    pending = there.pending
    schedule = Schedule(pending, dict(there.done))
    with progress.of(pending, already=len(there.done), jobs=jobs or default_jobs()):
        if not pending:
            return 0
        if engine == "ray":
            from robench.engine.ray import run_on_ray

            return run_on_ray(schedule, setting, leases, progress, jobs=jobs).written
        if jobs == 0:
            return run_in_process(schedule, setting, leases, progress).written
        workers = min(jobs or default_jobs(), len(pending))
        return run_in_workers(schedule, setting, leases, progress, jobs=workers).written


def resolve_device(asked: str) -> str:
    """``auto`` becomes ``cuda`` where there is a GPU, else ``cpu``.

    Raises:
        UsageError: a GPU is asked for and there is none.
    """
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "the device 'cuda' is asked for, but torch sees no GPU here",
            allowed=("auto", "cpu"),
            hint="`robench doctor` shows what this machine can run",
        )
    if asked not in ("cpu", "cuda"):
        raise UsageError(f"there is no device {asked!r}", allowed=("auto", "cpu", "cuda"))
    return asked


def _only(cells: list[Cell], pattern: str | None) -> list[Cell]:
    if pattern is None:
        return cells
    chosen = select(cells, pattern)
    if not chosen:
        example = cells[0].label if cells else ""
        raise UsageError(
            f"no cell of the suite matches {pattern!r}",
            allowed=f"an id, or part of a label such as {example!r}; * and ? stand for anything",
        )
    return chosen

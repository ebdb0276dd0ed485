"""Running a suite: what is missing is done, what is there stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robench.engine.attacks import with_guest_attacks
from robench.engine.given import Given, plan_given
from robench.engine.local import run_in_process, run_in_workers
from robench.engine.plan import matches, plan, select
from robench.engine.progress import Progress, choose_progress
from robench.engine.schedule import Schedule
from robench.engine.worker import Setting
from robench.errors import UsageError
from robench.plugin_files import load_plugin
from robench.spec import Cell, Record, Suite
from robench.store import Store

__all__ = ["Engine", "Run", "default_jobs", "run_suite"]

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class Run:
    """What a run was about, and where its records are."""

    suite: Suite
    cells: tuple[Cell, ...]
    """All cells of the suite that were asked for."""
    done: int
    """How many of these were done now; the others were there."""
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
    given: Given | None = None,
) -> Run:
    """Do what a suite asks for and is not there yet.

    Args:
        suite: a checked suite.
        results: the folder of records.
        jobs: worker processes; `None` is one for each core, 0 runs the cells in this process.
        engine: ``local`` or ``ray``.
        plugins: files with plug-ins of one's own; their methods join every grid of the suite, their
            attacks run as guests beside its attack suites.
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
    store = Store(results)
    store.check_writable()
    progress = progress or choose_progress()
    found = [named for plugin in plugins for named in load_plugin(plugin)]
    with progress.of_loggers():
        place = resolve_device(device or suite.device)
        guests = [name for kind, name in found if kind == "method"]
        suite = with_guest_attacks(suite, [name for kind, name in found if kind == "attack"])
        if given is not None:
            cells = plan_given(suite, given, data_root=data_root, device=place, note=progress.note)
        else:
            cells = plan(
                suite, data_root=data_root, device=place, guests=guests, note=progress.note
            )
    cells = _only(cells, only)
    done = _records_to_keep(store, cells, force, progress, retry_failed=retry_failed)
    pending = _pending(cells, done, store)
    setting = Setting(results.resolve(), data_root, tuple(Path(p).resolve() for p in plugins))
    schedule = Schedule(pending, dict(done))
    with progress.of(pending, already=len(cells) - len(pending), jobs=jobs or default_jobs()):
        if engine == "ray":
            from robench.engine.ray import run_on_ray

            run_on_ray(schedule, setting, progress, jobs=jobs)
        elif jobs == 0:
            run_in_process(schedule, setting, progress)
        elif pending:
            workers = min(jobs or default_jobs(), len(pending))
            limit_s = suite.cell_limit_s
            run_in_workers(schedule, setting, progress, jobs=workers, limit_s=limit_s)
    return Run(suite, tuple(cells), len(pending), store)


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


def _records_to_keep(
    store: Store,
    cells: list[Cell],
    force: str | None,
    progress: Progress,
    *,
    retry_failed: bool,
) -> dict[str, Record]:
    """The records that count as done; those that do not are removed or set aside.

    An evaluation whose network's record is lost stays: the network is trained again to the same
    weights. One whose network is to be done again, by force or because it failed, is done again.
    """
    again = {"interrupted"} | ({"failed", "over-budget", "noisy"} if retry_failed else set())
    existing = {record.id: record for record in store.records()}
    for damage in store.damaged:
        kept = store.set_aside(damage)
        progress.note(
            f"a damaged record is set aside as {kept} ({damage.problem}); it is done again"
        )
    keep: dict[str, Record] = {}
    redone: set[str] = set()
    for cell in cells:
        record = existing.get(cell.id)
        is_forced = force is not None and matches(cell, force)
        is_retried = record is not None and record.status in again
        if is_forced or is_retried or not redone.isdisjoint(cell.needs):
            redone.add(cell.id)
            store.remove(cell.id)
        elif record is not None:
            keep[cell.id] = record
    return keep


def _pending(cells: list[Cell], done: dict[str, Record], store: Store) -> list[Cell]:
    """What is left to do, and the networks it hangs off whose checkpoints are gone."""
    pending = [cell for cell in cells if cell.id not in done]
    needed = {other for cell in pending for other in cell.needs}
    by_id = {cell.id: cell for cell in cells}
    lost = []
    for parent in needed & done.keys():
        if done[parent].status == "ok" and not store.checkpoint_path(parent).exists():
            del done[parent]
            lost.append(by_id[parent])
    return _pending(cells, done, store) if lost else pending

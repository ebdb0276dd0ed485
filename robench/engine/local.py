"""The engine of one machine: persistent worker processes that may die without harm.

pebble's pool is used because a worker that dies takes down its own cell only: with the standard
library's `ProcessPoolExecutor` and with loky one death breaks the pool and every pending future.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager

from pebble import ProcessExpired, ProcessPool

from robench.engine.schedule import Listener, Schedule
from robench.engine.worker import Setting, prepare_worker, run_cell
from robench.errors import StoreError
from robench.spec import Cell, Record, Status
from robench.store import Store

__all__ = ["run_in_process", "run_in_workers"]


def run_in_process(schedule: Schedule, setting: Setting, listener: Listener) -> None:
    """Run all cells in this process, one after the other: for debuggers and for tests."""
    store = Store(setting.results)
    while (cell := schedule.next()) is not None:
        record = _inherited_failure(cell, schedule.parent_of(cell))
        if record is None:
            listener.started(cell)
            record = run_cell(cell, setting)
        else:
            store.write(record)
        schedule.finish(record)
        listener.finished(record)


def run_in_workers(
    schedule: Schedule,
    setting: Setting,
    listener: Listener,
    *,
    jobs: int,
    limit_s: float | None = None,
) -> None:
    """Run all cells in `jobs` worker processes.

    Args:
        schedule: the cells.
        setting: what they share.
        listener: is told of each start and end.
        jobs: how many processes; each has one torch thread, so as many as there are cores.
        limit_s: seconds that one cell may take.

    Raises:
        KeyboardInterrupt: after the workers were stopped and what they were doing was recorded.
        StoreError: a record cannot be written.
    """
    pool = ProcessPool(
        max_workers=jobs,
        context=multiprocessing.get_context("spawn"),
        initializer=prepare_worker,
        initargs=(setting,),
    )
    running: dict[Future[Record], Cell] = {}
    store = Store(setting.results)
    try:
        with _terminate_as_interrupt():
            _drive(pool, schedule, setting, listener, running, store, jobs, limit_s)
    except BaseException as error:
        pool.stop()
        pool.join()
        if isinstance(error, KeyboardInterrupt):
            for cell in running.values():
                _record_interrupted(store, cell, listener)
        raise
    pool.close()
    pool.join()


def _drive(
    pool: ProcessPool,
    schedule: Schedule,
    setting: Setting,
    listener: Listener,
    running: dict[Future[Record], Cell],
    store: Store,
    jobs: int,
    limit_s: float | None,
) -> None:
    while True:
        # One cell more than there are workers waits at the door, so that nobody idles.
        while len(running) < jobs + 1 and (cell := schedule.next()) is not None:
            inherited = _inherited_failure(cell, schedule.parent_of(cell))
            if inherited is not None:
                store.write(inherited)
                schedule.finish(inherited)
                listener.finished(inherited)
                continue
            listener.started(cell)
            running[pool.schedule(run_cell, args=(cell, setting), timeout=limit_s)] = cell
        if not running:
            return
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            record = _record_of(future, running.pop(future), store, limit_s)
            schedule.finish(record)
            listener.finished(record)


def _record_of(future: Future[Record], cell: Cell, store: Store, limit_s: float | None) -> Record:
    """The record of a finished cell; what kept a worker from writing one becomes a record too."""
    try:
        return future.result()
    except StoreError:
        raise
    except TimeoutError:
        record = _unsuccessful(cell, "over-budget", f"it took longer than {limit_s:g} s")
    except ProcessExpired as death:
        record = _unsuccessful(cell, "failed", f"its worker process died ({_cause(death)})")
    except Exception as error:  # noqa: BLE001 - for instance a plug-in that fails in the worker
        record = _unsuccessful(cell, "failed", f"its worker failed: {error}")
    store.write(record)
    return record


def _cause(death: ProcessExpired) -> str:
    code = death.exitcode
    if code is None or code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    return f"{name}; out of memory, perhaps" if name == "SIGKILL" else name


def _inherited_failure(cell: Cell, parent: Record | None) -> Record | None:
    """A record for a cell whose parent has no checkpoint to hang off."""
    if parent is None or parent.status == "ok":
        return None
    first_line = (parent.reason or "").partition("\n")[0]
    return _unsuccessful(cell, parent.status, f"its network {parent.id} is missing: {first_line}")


def _record_interrupted(store: Store, cell: Cell, listener: Listener) -> None:
    if store.record_path(cell.id).exists():  # it ended in the very last moment
        return
    record = _unsuccessful(cell, "interrupted", "the run was interrupted")
    store.write(record)
    listener.finished(record)


def _unsuccessful(cell: Cell, status: Status, reason: str) -> Record:
    return Record(id=cell.id, cell=cell, status=status, reason=reason)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """A polite kill (SIGTERM) ends a run as an interrupt does, where signals can be set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt

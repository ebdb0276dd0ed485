"""The engine of one machine: persistent worker processes that may die without harm.

pebble's pool is used because a worker that dies takes down its own cell only: with the standard
library's `ProcessPoolExecutor` and with loky one death breaks the pool and every pending future.
"""

from __future__ import annotations

import multiprocessing
import signal

from pebble import ProcessExpired, ProcessPool

from robench.engine.drive import Driver, inherited_failure
from robench.engine.schedule import Listener, Schedule
from robench.engine.worker import Setting, prepare_worker, run_cell
from robench.spec import Status
from robench.store import Store

__all__ = ["run_in_process", "run_in_workers"]


def run_in_process(schedule: Schedule, setting: Setting, listener: Listener) -> None:
    """Run all cells in this process, one after the other: for debuggers and for tests."""
    store = Store(setting.results)
    while (cell := schedule.next()) is not None:
        record = inherited_failure(cell, schedule.needed_by(cell))
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
    """Run all cells in `jobs` worker processes, those that take time by themselves.

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
        # Workers without work would only start, beside a cell that takes time.
        max_workers=min(jobs, max(1, schedule.side_by_side)),
        context=multiprocessing.get_context("spawn"),
        initializer=prepare_worker,
        initargs=(setting,),
    )
    driver = Driver(
        schedule=schedule,
        store=Store(setting.results),
        listener=listener,
        submit=lambda cell: pool.schedule(run_cell, args=(cell, setting), timeout=limit_s),
        explain=lambda error: _explain(error, limit_s),
        width=jobs + 1,
    )
    try:
        driver.run()
        pool.close()
    finally:
        pool.stop()  # after close() and a finished schedule there is nothing left to stop
        pool.join()


def _explain(error: Exception, limit_s: float | None) -> tuple[Status, str]:
    if isinstance(error, TimeoutError):
        return "over-budget", f"it took longer than the {limit_s:g} s that a cell may take"
    if isinstance(error, ProcessExpired):
        return "failed", f"its worker process died ({_cause(error.exitcode)})"
    return "failed", f"its worker failed: {type(error).__name__}: {error}"


def _cause(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit status {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"{name}; out of memory, perhaps" if name == "SIGKILL" else name

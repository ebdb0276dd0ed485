"""The engines of one machine: worker processes, or the process that asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from robench.engine.context import Setting
from robench.engine.driver import Driver, Ended
from robench.engine.pool import WorkerPool
from robench.engine.schedule import Listener, Schedule
from robench.engine.warm_up import warm_up
from robench.engine.worker import run_cell
from robench.spec import Cell
from robench.store import Store
from robench.store.leases import Leases

__all__ = ["run_in_process", "run_in_workers"]


@dataclass
class _ThisProcess:
    """Runs each cell when its result is asked for."""

    setting: Setting
    width: int = field(default=1, init=False)
    _waiting: list[Cell] = field(default_factory=list, init=False)

    def submit(self, cell: Cell) -> None:
        self._waiting.append(cell)

    def collect(self, timeout_s: float) -> Iterable[Ended]:
        del timeout_s  # nothing goes on beside the one who waits
        cells, self._waiting = self._waiting, []
        return [Ended(cell, run_cell(cell, self.setting).record) for cell in cells]

    def stop(self, *, kindly: bool) -> None:
        """Nothing is left to be stopped."""


def run_in_process(
    schedule: Schedule, setting: Setting, leases: Leases, listener: Listener
) -> Driver:
    """Run all cells in this process, one after the other: for debuggers and for tests.

    Raises:
        KeyboardInterrupt: the run was interrupted; what was being done is recorded.
        StoreError: a record cannot be written.
    """
    warm_up(setting.stages)
    driver = Driver(schedule, Store(setting.results), leases, listener, _ThisProcess(setting))
    driver.run()
    return driver


def run_in_workers(
    schedule: Schedule, setting: Setting, leases: Leases, listener: Listener, *, jobs: int
) -> Driver:
    """Run all cells in `jobs` worker processes, those that take time by themselves.

    Args:
        schedule: the cells.
        setting: what they share.
        leases: of this run.
        listener: is told of each start and end.
        jobs: how many processes; each has one torch thread, so as many as there are cores.

    Raises:
        KeyboardInterrupt: after the workers were stopped and what they were doing was recorded.
        StoreError: a record cannot be written.
        WorkersError: no worker starts; nothing was run.
    """
    # Workers without work would only start, beside a cell that takes time.
    width = min(jobs, max(1, schedule.side_by_side))
    pool = WorkerPool(setting, width)
    driver = Driver(schedule, Store(setting.results), leases, listener, pool)
    driver.run()
    return driver

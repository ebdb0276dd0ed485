"""The engine past one machine: the same cells as Ray tasks, on a results folder that all share.

Ray starts on this machine where no cluster is joined already (`RAY_ADDRESS`, or `ray.init`
before). Each task takes one core, and a worker that dies costs its own cell only. Cells that take
time run on this machine, for which they were planned, while the rest of the cluster idles.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, cast

from robench.engine.context import Setting, load_data
from robench.engine.driver import Driver, Ended, Lost
from robench.engine.interrupts import within
from robench.engine.schedule import Listener, Schedule, runs_alone
from robench.engine.worker import GRACE_S, over_limit, prepare_process, run_cell
from robench.errors import StoreError, UsageError, text_of
from robench.spec import Cell, Record
from robench.store import Store
from robench.store.leases import Leases

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["run_on_ray"]

_Answer = Record | StoreError | Lost


@dataclass
class _Cluster:
    """Hands cells to Ray."""

    ray: ModuleType
    setting: Setting
    width: int
    _futures: dict[Future[_Answer], Cell] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        # Lost workers are counted, and their cells begun again, by the driver alone.
        self._task = self.ray.remote(num_cpus=1, max_retries=0)(_run_prepared)
        # Without a core of its own: the machine that plans may offer the cluster none.
        self._here = self._task.options(num_cpus=0, scheduling_strategy=_this_node(self.ray))

    def submit(self, cell: Cell) -> None:
        chosen = self._here if runs_alone(cell.stage) else self._task
        future = cast("Future[_Answer]", chosen.remote(cell, self.setting).future())
        self._futures[future] = cell

    def collect(self, timeout_s: float) -> Iterable[Ended]:
        finished, _ = wait(self._futures, timeout=timeout_s, return_when=FIRST_COMPLETED)
        return [Ended(self._futures.pop(future), _result(future)) for future in finished]

    def stop(self, *, kindly: bool) -> None:
        """Tasks end with Ray, or with the cluster's job."""


def run_on_ray(
    schedule: Schedule,
    setting: Setting,
    leases: Leases,
    listener: Listener,
    *,
    jobs: int | None = None,
) -> Driver:
    """Run all cells as Ray tasks.

    Args:
        schedule: the cells.
        setting: what they share; the results folder must be the same for every machine.
        leases: of this run.
        listener: is told of each start and end.
        jobs: cores to use on this machine where no cluster is joined; `None` is all of them.

    Raises:
        UsageError: Ray is not installed.
        KeyboardInterrupt: the run was interrupted; what was being done is recorded.
        StoreError: a record cannot be written.
    """
    ray = _import_ray()
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(num_cpus=jobs or None, log_to_driver=False, include_dashboard=False)
    width = int(ray.cluster_resources().get("CPU", 1)) + 1
    cluster = _Cluster(ray, setting, width)
    driver = Driver(schedule, Store(setting.results), leases, listener, cluster)
    try:
        driver.run()
    finally:
        if started_here:
            ray.shutdown()
    return driver


def _result(future: Future[_Answer]) -> Record | Lost:
    """The record of a task.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        answer = future.result()
    except Exception as error:  # noqa: BLE001 - whatever befell a worker or its machine
        first_line = text_of(error).strip().partition("\n")[0]
        # Ray does not tell whether a worker was killed or has killed itself.
        return Lost(f"its Ray worker was lost: {first_line}", is_own_doing=False)
    if isinstance(answer, StoreError):
        raise answer
    return answer


def _this_node(ray: ModuleType) -> object:
    node = ray.get_runtime_context().get_node_id()
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)


_left_changed = threading.Event()
"""Set once a cell has changed this process in a way that could not be set back."""


def _run_prepared(cell: Cell, setting: Setting) -> _Answer:
    """What a Ray worker does; errors are answers, since Ray would wrap them."""
    if _left_changed.is_set():
        os._exit(1)  # Ray replaces the worker, and the driver begins the cell again
    try:
        _prepare_once(setting)
        with contextlib.suppress(BaseException), within(setting.limit_s):
            load_data(cell, setting)
        with _ending(cell, setting):
            finished = run_cell(cell, setting)
        if not finished.is_clean:
            _left_changed.set()
        return finished.record
    except StoreError as error:
        return error
    except BaseException as error:  # noqa: BLE001 - a row, whatever it is
        return Lost(f"its worker failed: {text_of(error)}", is_own_doing=True)


@contextmanager
def _ending(cell: Cell, setting: Setting) -> Iterator[None]:
    """End the process of a cell whose time is over and that does not end by itself.

    Nobody else can: Ray does not tell when a task began. The driver finds the record.
    """
    if setting.limit_s is None:
        yield
        return

    def end(limit_s: float) -> None:
        record = Record(id=cell.id, cell=cell, status="over-budget", reason=over_limit(limit_s))
        Store(setting.results).write(record)
        os._exit(1)

    timer = threading.Timer(setting.limit_s + GRACE_S, end, [setting.limit_s])
    timer.name, timer.daemon = "robench-limit", True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _prepare_once(setting: Setting) -> None:
    prepare_process(setting)


def _import_ray() -> ModuleType:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise UsageError(
            "the engine 'ray' is asked for, but Ray is not installed",
            allowed="local",
            hint="pip install 'robench[ray]'",
        ) from None
    return ray

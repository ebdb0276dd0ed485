"""The engine past one machine: the same cells as Ray tasks, on a results folder that all share.

Ray starts on this machine where no cluster is joined already (`RAY_ADDRESS`, or `ray.init`
before). Each task takes one core, and a worker that dies costs its own cell only. Cells that take
time run on this machine, for which they were planned, while the rest of the cluster idles.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import cache
from typing import TYPE_CHECKING, cast

from robench.engine.drive import Driver
from robench.engine.schedule import Listener, Schedule, runs_alone
from robench.engine.worker import Setting, prepare_worker, run_cell
from robench.errors import UsageError
from robench.spec import Cell, Record, Status
from robench.store import Store

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["run_on_ray"]


def run_on_ray(
    schedule: Schedule, setting: Setting, listener: Listener, *, jobs: int | None = None
) -> None:
    """Run all cells as Ray tasks.

    Args:
        schedule: the cells.
        setting: what they share; the results folder must be the same for every machine.
        listener: is told of each start and end.
        jobs: cores to use on this machine where no cluster is joined; `None` is all of them.

    Raises:
        UsageError: Ray is not installed.
        KeyboardInterrupt: the run was interrupted; what was being done is recorded.
    """
    ray = _import_ray()
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(num_cpus=jobs or None, log_to_driver=False, include_dashboard=False)
    # A dead worker is a row, not a reason to try again, and out-of-memory must not retry for ever.
    task = ray.remote(num_cpus=1, max_retries=0)(_run_prepared)
    # Without a core of its own: the machine that plans may offer the cluster none.
    here = task.options(num_cpus=0, scheduling_strategy=_this_node(ray))

    def submit(cell: Cell) -> Future[Record]:
        chosen = here if runs_alone(cell.stage) else task
        return cast("Future[Record]", chosen.remote(cell, setting).future())

    driver = Driver(
        schedule=schedule,
        store=Store(setting.results),
        listener=listener,
        submit=submit,
        explain=_explain,
        width=int(ray.cluster_resources().get("CPU", 1)) + 1,
    )
    try:
        driver.run()
    finally:
        if started_here:
            ray.shutdown()


def _this_node(ray: ModuleType) -> object:
    node = ray.get_runtime_context().get_node_id()
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)


def _run_prepared(cell: Cell, setting: Setting) -> Record:
    _prepare_once(setting)
    return run_cell(cell, setting)


@cache
def _prepare_once(setting: Setting) -> None:
    prepare_worker(setting)


def _explain(error: Exception) -> tuple[Status, str]:
    first_line = str(error).strip().partition("\n")[0]
    return "failed", f"its Ray worker failed: {type(error).__name__}: {first_line}"


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
    return cast("ModuleType", ray)

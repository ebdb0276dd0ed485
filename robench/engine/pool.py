"""Worker processes that may die without harm to each other.

Each has a pipe of its own. With one queue for all, as pools of libraries have, a worker that dies
while it starts, or while it holds the queue, breaks the pool and every cell in it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from robench.engine.context import Setting
from robench.engine.driver import Ended, Lost
from robench.engine.start import Process, Starter, starter, unfit
from robench.engine.worker import GRACE_S, over_limit
from robench.errors import WorkersError
from robench.spec import Cell, Record

__all__ = ["WorkerPool"]

_LOOK_S = 0.25
"""Seconds after which a worker that died without closing its pipe is noticed."""
_STARTS = 3
"""How many workers in a row may fail to start before the run is given up."""
_FAREWELL_S = 1.0
_CODE_S = 1.0
"""Seconds that a worker has to end after it has closed its pipe."""


@dataclass
class _Worker:
    process: Process
    cell: Cell | None = None
    is_ready: bool = False
    deadline: float = float("inf")


@dataclass
class WorkerPool:
    """Some worker processes, each started when there is work for it.

    Args:
        setting: what all cells share.
        width: how many processes there may be.
    """

    setting: Setting
    width: int
    _workers: list[_Worker] = field(default_factory=list, init=False)
    _failed_starts: int = field(default=0, init=False)
    _starter: Starter = field(init=False)

    def __post_init__(self) -> None:
        self._starter = starter(self.setting)

    def submit(self, cell: Cell) -> None:
        """Give a cell to a worker that has none; the caller sees to it that there is one."""
        idle = [worker for worker in self._workers if worker.cell is None]
        while idle:
            worker = idle.pop()
            if self._send(worker, cell):
                return
        self._send(self._start(), cell)

    def collect(self, timeout_s: float) -> list[Ended]:
        """What ended; waits for something to end no longer than `timeout_s`.

        Raises:
            WorkersError: workers do not start.
            StoreError: a record cannot be written.
        """
        pipes = [worker.process.pipe for worker in self._workers]
        wait(pipes, min(timeout_s, _LOOK_S))
        return [ended for worker in tuple(self._workers) for ended in self._look_at(worker)]

    def stop(self, *, kindly: bool) -> None:
        """End all workers.

        Args:
            kindly: whether they have nothing to do, and may go by themselves.
        """
        for worker in self._workers:
            worker.process.pipe.close()
        deadline = time.monotonic() + (_FAREWELL_S if kindly else 0)
        for worker in self._workers:
            _wait(worker.process, deadline)
            worker.process.kill()
        self._workers.clear()
        self._starter.stop()

    # -- one worker ---------------------------------------------------------------------------

    def _start(self) -> _Worker:
        worker = _Worker(self._starter.start())
        self._workers.append(worker)
        return worker

    def _send(self, worker: _Worker, cell: Cell) -> bool:
        """Give a cell to a worker; tells whether it was there to take it."""
        if worker.is_ready and worker.process.poll() is not None:
            self._dismiss(worker)
            return False
        try:
            worker.process.pipe.send(cell)
        except OSError:
            if worker.is_ready:
                self._dismiss(worker)
                return False
        worker.cell = cell
        if worker.is_ready:
            self._set_clock(worker)
        return True

    def _look_at(self, worker: _Worker) -> Iterator[Ended]:
        while worker in self._workers:
            try:
                if not worker.process.pipe.poll():
                    break
                answer = worker.process.pipe.recv()
            except Exception:  # noqa: BLE001 - a pipe that a plug-in wrote to may hold anything
                yield from self._bury(worker)
                return
            yield from self._heed(worker, answer)
        if worker not in self._workers:
            return
        if worker.process.poll() is not None and not worker.process.pipe.poll():
            yield from self._bury(worker)
        elif time.monotonic() > worker.deadline:
            yield from self._end(worker)

    def _heed(self, worker: _Worker, answer: tuple[object, ...]) -> Iterator[Ended]:
        cell = worker.cell
        match answer:
            case ("ready",):
                worker.is_ready = True
                self._failed_starts = 0
                self._set_clock(worker)
            case ("unfit", str(why)):
                raise unfit(why)
            case ("started",):
                self._set_clock(worker)
            case ("ended", Record() as record, bool(is_clean)):
                worker.cell, worker.deadline = None, float("inf")
                if not is_clean:
                    self._dismiss(worker)
                yield Ended(record.cell, record)
            case ("stuck", Exception() as error):
                raise error
            case ("broken", str(why)) if cell is not None:
                worker.cell = None
                yield Ended(cell, Lost(f"its worker failed: {why}", is_own_doing=True))

    def _set_clock(self, worker: _Worker) -> None:
        """Before a cell starts its data are loaded, which has as much time again."""
        if self.setting.limit_s is not None and worker.cell is not None:
            worker.deadline = time.monotonic() + self.setting.limit_s + GRACE_S

    def _bury(self, worker: _Worker) -> Iterator[Ended]:
        """A worker has died, or talks nonsense."""
        _wait(worker.process, time.monotonic() + _CODE_S)
        code = worker.process.poll()
        self._dismiss(worker)
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise WorkersError(
                    f"{_STARTS} worker processes in a row died while they started ({_cause(code)})",
                    hint="use fewer with --jobs N, or none with --jobs 0; what else they said "
                    "stands above",
                )
            if worker.cell is not None:
                self.submit(worker.cell)
        elif worker.cell is not None:
            why = f"its worker process died ({_cause(code)})"
            yield Ended(worker.cell, Lost(why, is_own_doing=_is_own_doing(code)))

    def _end(self, worker: _Worker) -> Iterator[Ended]:
        """The time of a cell is over, and it does not end by itself."""
        self._dismiss(worker)
        if worker.cell is not None and self.setting.limit_s is not None:
            reason = over_limit(self.setting.limit_s)
            record = Record(
                id=worker.cell.id, cell=worker.cell, status="over-budget", reason=reason
            )
            yield Ended(worker.cell, record, is_written=False)

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.pipe.close()
        worker.process.kill()


def _wait(process: Process, deadline: float) -> None:
    """Give a process until then to end by itself."""
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def _is_own_doing(code: int | None) -> bool:
    """Whether a process ended by what it did itself, as far as one can tell from outside.

    Who kills from outside (the kernel that is out of memory, an administrator, a batch system) uses
    other signals than those of a processor that was asked for nonsense.
    """
    outside = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    return code is not None and -code not in outside


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}; out of memory, perhaps" if name == "SIGKILL" else name

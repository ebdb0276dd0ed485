"""What all engines have in common: hand out cells, take records in, write down what went wrong."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from robench.engine.schedule import Listener, Schedule
from robench.errors import StoreError
from robench.spec import Cell, Record, Status
from robench.store import Store

__all__ = ["Driver", "inherited_failure"]

_MISSING = "its network"

Explain = Callable[[Exception], tuple[Status, str]]


@dataclass
class Driver:
    """Keeps some workers busy until the schedule is empty.

    Args:
        schedule: the cells.
        store: where the records are.
        listener: is told of each start and end.
        submit: hands a cell to a worker; the future gives the record that the worker wrote.
        explain: status and reason for an exception of such a future.
        width: how many cells are handed out at a time. One more than there are workers, so that
            nobody waits for the driver.
    """

    schedule: Schedule
    store: Store
    listener: Listener
    submit: Callable[[Cell], Future[Record]]
    explain: Explain
    width: int
    _running: dict[Future[Record], Cell] = field(default_factory=dict, init=False)

    def run(self) -> None:
        """Run all cells of the schedule.

        Raises:
            KeyboardInterrupt: the run was interrupted; what was being done is recorded.
            StoreError: a record cannot be written.
        """
        try:
            with _terminate_as_interrupt():
                while self._hand_out():
                    finished, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        self._take_in(self._record_of(future, self._running.pop(future)))
        except KeyboardInterrupt:
            for cell in self._running.values():
                self._record_interrupted(cell)
            raise

    def _hand_out(self) -> bool:
        """Fill the workers' hands; tells whether there is anything to wait for."""
        while len(self._running) < self.width and (cell := self.schedule.next()) is not None:
            inherited = inherited_failure(cell, self.schedule.needed_by(cell))
            if inherited is not None:
                self.store.write(inherited)
                self._take_in(inherited)
            else:
                self.listener.started(cell)
                self._running[self.submit(cell)] = cell
        return bool(self._running)

    def _take_in(self, record: Record) -> None:
        self.schedule.finish(record)
        self.listener.finished(record)

    def _record_of(self, future: Future[Record], cell: Cell) -> Record:
        """The worker's record; what kept a worker from writing one becomes a record too."""
        try:
            return future.result()
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever befell a worker is that cell's row
            record = _unsuccessful(cell, *self.explain(error))
        self.store.write(record)
        return record

    def _record_interrupted(self, cell: Cell) -> None:
        if not self.store.record_path(cell.id).exists():  # else it ended in the last moment
            record = _unsuccessful(cell, "interrupted", "the run was interrupted")
            self.store.write(record)
            self.listener.finished(record)


def inherited_failure(cell: Cell, needed: Iterable[Record]) -> Record | None:
    """A record for a cell that needs a network which is not there; `None` if all are there."""
    missing = next((record for record in needed if record.status != "ok"), None)
    if missing is None:
        return None
    reason = (missing.reason or "").partition("\n")[0]
    if not reason.startswith(_MISSING):  # else what is missing hangs off something missing itself
        reason = f"{_MISSING} {missing.id} is missing: {reason}"
    return _unsuccessful(cell, missing.status, reason)


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

"""What all engines have in common: hand out cells, take records in, write down what went wrong.

Several runs may work in one folder. Before a cell is handed out it is leased; what another run
has leased is waited for, and taken over if that run dies.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from robench.engine.interrupts import listening
from robench.engine.schedule import Listener, Schedule
from robench.engine.timing_locks import TimingLocks
from robench.errors import NewerRecordError, StoreError
from robench.spec import Cell, Record, Status
from robench.store import Store
from robench.store.leases import Leases

__all__ = ["TRIES", "Driver", "Ended", "Engine", "Lost", "inherited_failure"]

TRIES = 3
"""How often a cell is begun whose worker dies."""
_PATIENCE_S = 0.25
"""Seconds between two looks at the folder."""
_LOOKS_PER_GREETING = 8
"""How many of them pass until new runs are looked for."""
_MISSING = "its network"


@dataclass(frozen=True)
class Lost:
    """What became of a worker, in place of a record.

    Attributes:
        why: for the record.
        is_own_doing: whether the cell has most likely killed its worker itself.
    """

    why: str
    is_own_doing: bool


@dataclass(frozen=True)
class Ended:
    """A cell that a worker is done with.

    Attributes:
        cell: it.
        result: its record, or what became of its worker.
        is_written: whether the record lies in the store.
    """

    cell: Cell
    result: Record | Lost
    is_written: bool = True


class Engine(Protocol):
    """Who carries cells out."""

    @property
    def width(self) -> int:
        """How many cells it can take at a time."""

    def submit(self, cell: Cell) -> None:
        """Take a cell; it is never given more than `width`."""

    def collect(self, timeout_s: float) -> Iterable[Ended]:
        """What ended; waits no longer than `timeout_s` for something to end, if it can."""

    def stop(self, *, kindly: bool) -> None:
        """Do no more; `kindly` where nothing is being done."""


@dataclass
class Driver:
    """Keeps an engine busy until the schedule is empty.

    Args:
        schedule: the cells.
        store: where the records are.
        leases: of this run.
        listener: is told of each start and end.
        engine: carries the cells out.

    Attributes:
        written: how many records this run has written.
    """

    schedule: Schedule
    store: Store
    leases: Leases
    listener: Listener
    engine: Engine
    written: int = field(default=0, init=False)
    _running: dict[str, Cell] = field(default_factory=dict, init=False)
    _elsewhere: dict[str, Cell] = field(default_factory=dict, init=False)
    _tries: Counter[str] = field(default_factory=Counter, init=False)
    _known: set[str] = field(default_factory=set, init=False)
    _looks: int = field(default=0, init=False)
    _last_look: float = field(default=0.0, init=False)
    _turns: TimingLocks = field(init=False)

    def __post_init__(self) -> None:
        self._turns = TimingLocks(self.store.root)

    def run(self) -> None:
        """Run all cells of the schedule.

        Raises:
            KeyboardInterrupt: the run was interrupted; what was being done is recorded.
            StoreError: a record cannot be written, or the folder is gone.
            WorkersError: no worker starts.
        """
        try:
            with listening():
                while self._hand_out():
                    if self._running:
                        for ended in self.engine.collect(_PATIENCE_S):
                            self._take_in(ended)
                    else:
                        time.sleep(_PATIENCE_S)
                    self._look_around()
        except KeyboardInterrupt:
            self.engine.stop(kindly=False)
            for cell in self._running.values():
                self._record_interrupted(cell)
            raise
        finally:
            self.engine.stop(kindly=not self._running)
            self._turns.end()

    # -- handing out --------------------------------------------------------------------------

    def _hand_out(self) -> bool:
        """Fill the workers' hands; tells whether there is anything to wait for."""
        while len(self._running) < self.engine.width and (cell := self.schedule.next()):
            if not self._turns.may_begin(cell, is_idle=not self._running):
                self.schedule.put_back(cell)
                self.listener.waiting(self._turns.reason)
                return True
            self._begin(cell)
        if not self._running:
            self._turns.end()  # what goes on elsewhere may take its turn
        return bool(self._running or self._elsewhere)

    def _begin(self, cell: Cell) -> None:
        """Hand a cell out, unless another run has it, or had it."""
        if not self.leases.acquire(cell.id):
            self.schedule.put_aside(cell)
            self._elsewhere[cell.id] = cell
            return
        there = self._record_of(cell)
        if there is not None:
            self.leases.release(cell.id)
            self._finish(there)
            return
        inherited = inherited_failure(cell, self.schedule.needed_by(cell))
        if inherited is not None:
            self._write(inherited)
        else:
            self._running[cell.id] = cell
            self.listener.started(cell)
            self.engine.submit(cell)

    def _record_of(self, cell: Cell) -> Record | None:
        """What another run has written in the meantime."""
        if not self.store.record_path(cell.id).exists():
            return None
        try:
            record = self.store.read(cell.id)
        except NewerRecordError:
            raise
        except StoreError:  # damaged; done again
            return None
        return None if record is not None and record.status == "interrupted" else record

    # -- taking in ----------------------------------------------------------------------------

    def _take_in(self, ended: Ended) -> None:
        del self._running[ended.cell.id]
        result = ended.result
        if isinstance(result, Record) and ended.is_written:
            self.written += 1
            self.leases.release(ended.cell.id)
            self._finish(result)
        elif isinstance(result, Record):
            self._write(result)
        else:
            self._mourn(ended.cell, result)

    def _mourn(self, cell: Cell, lost: Lost) -> None:
        """A worker was lost: the cell is begun again, unless that has happened often enough."""
        self.check_folder()
        there = self._record_of(cell)  # it may have died after its work was done
        if there is not None:
            self._take_in_found(there)
            return
        self._tries[cell.id] += 1
        if self._tries[cell.id] < TRIES:
            self.listener.begun_again(cell, lost.why)
            self._running[cell.id] = cell
            self.engine.submit(cell)
            return
        status: Status = "failed" if lost.is_own_doing else "interrupted"
        self._write(_unsuccessful(cell, status, f"{lost.why}, {TRIES} times in a row"))

    def _take_in_found(self, record: Record) -> None:
        self.written += 1
        self.leases.release(record.id)
        self._finish(record)

    def _write(self, record: Record) -> None:
        self.check_folder()
        self.store.write(record)
        self._take_in_found(record)

    def _finish(self, record: Record) -> None:
        self.schedule.finish(record)
        self.listener.finished(record)

    def _record_interrupted(self, cell: Cell) -> None:
        """Write down that a cell was broken off, unless it ended in the last moment."""
        with contextlib.suppress(StoreError):  # the folder may be why the run ends
            if self._record_of(cell) is None:
                record = _unsuccessful(cell, "interrupted", "the run was interrupted")
                self.check_folder()
                self.store.write(record)
                self.listener.finished(record)
            self.leases.release(cell.id)

    # -- looking around -----------------------------------------------------------------------

    def _look_around(self) -> None:
        """See what other runs did, and whether the folder is still there."""
        now = time.monotonic()
        if now - self._last_look < _PATIENCE_S:
            return
        self._last_look = now
        self.check_folder()
        for cell in tuple(self._elsewhere.values()):
            record = self._record_of(cell)
            if record is None and self.leases.is_leased(cell.id):
                continue
            del self._elsewhere[cell.id]
            if record is None:
                self.schedule.put_back(cell)
            else:
                self._finish(record)
        if self._looks % _LOOKS_PER_GREETING == 0:
            self.greet()
        self._looks += 1

    def greet(self) -> None:
        """Say which other runs work in this folder, once of each."""
        for other in self.leases.others():
            if other.token not in self._known:
                self._known.add(other.token)
                self.listener.joined(other)

    def check_folder(self) -> None:
        """See that nobody has removed the results.

        Raises:
            StoreError: somebody has.
        """
        if not self.leases.run_file.exists():
            raise StoreError(
                f"the results folder {str(self.store.root)!r} was removed while the run went on",
                hint="run the suite again",
            )


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

"""Which cells may run now, and who is told about it: shared by all engines.

Cells that take time run last, one at a time, with all other workers idle: a busy neighbour shares
caches and memory, and no figure beside it would be true. Last, because a slot amid the others would
make every worker wait for the longest cell in flight, once for each such cell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from robench.spec import Cell, Record
from robench.stages import STAGES
from robench.store.leases import OtherRun

__all__ = ["Listener", "Schedule", "runs_alone"]


def runs_alone(stage: str) -> bool:
    """Whether cells of a stage take time, so that nothing may run beside them."""
    return STAGES.get(stage).is_timed


class Listener(Protocol):
    """Is told what happens, as it happens."""

    def started(self, cell: Cell) -> None:
        """A cell was handed to a worker."""

    def finished(self, record: Record) -> None:
        """A cell has a record."""

    def begun_again(self, cell: Cell, why: str) -> None:
        """The worker of a cell was lost, and the cell is begun again."""

    def waiting(self, why: str) -> None:
        """No cell may begin just now."""

    def joined(self, other: OtherRun) -> None:
        """Another run works in the same folder."""


@dataclass
class Schedule:
    """Which cells may run now.

    Args:
        cells: what is to be done, parents before children.
        done: records of the networks that are already there, by id.

    Attributes:
        side_by_side: how many of the cells may run beside others.
    """

    cells: Iterable[Cell]
    done: dict[str, Record] = field(default_factory=dict)
    side_by_side: int = field(default=0, init=False)
    _ready: deque[Cell] = field(default_factory=deque, init=False)
    _alone: deque[Cell] = field(default_factory=deque, init=False)
    _in_flight: set[str] = field(default_factory=set, init=False)
    _waiting: dict[str, list[Cell]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for cell in self.cells:
            self.side_by_side += not runs_alone(cell.stage)
            if self._may_run(cell):
                (self._alone if runs_alone(cell.stage) else self._ready).append(cell)

    def next(self) -> Cell | None:
        """A cell that may run now, or `None` if all others wait for one that is in flight."""
        if self._ready:
            cell = self._ready.popleft()
        elif self._alone and not self._in_flight:
            cell = self._alone.popleft()
        else:
            return None
        self._in_flight.add(cell.id)
        return cell

    def put_back(self, cell: Cell) -> None:
        """A cell that `next` gave may not run yet, or was put aside: it is next again."""
        self._in_flight.discard(cell.id)
        (self._alone if runs_alone(cell.stage) else self._ready).appendleft(cell)

    def put_aside(self, cell: Cell) -> None:
        """Somebody else does a cell that `next` gave; `finish` or `put_back` follows."""
        self._in_flight.discard(cell.id)

    def finish(self, record: Record) -> None:
        """Release the cells that waited for this one; they go first, while its data are warm."""
        self.done[record.id] = record
        self._in_flight.discard(record.id)
        released = [cell for cell in self._waiting.pop(record.id, []) if self._may_run(cell)]
        self._alone.extend(cell for cell in released if runs_alone(cell.stage))
        first = [cell for cell in released if not runs_alone(cell.stage)]
        self._ready.extendleft(reversed(first))

    def needed_by(self, cell: Cell) -> list[Record]:
        """The records of the networks that the cell reads."""
        return [self.done[other] for other in cell.needs]

    def _may_run(self, cell: Cell) -> bool:
        """Whether all that the cell needs is there; else it waits for the first that is not."""
        missing = next((other for other in cell.needs if other not in self.done), None)
        if missing is not None:
            self._waiting.setdefault(missing, []).append(cell)
        return missing is None

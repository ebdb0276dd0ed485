"""Which cells may run now, and who is told about it: shared by all engines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from robench.spec import Cell, Record

__all__ = ["Listener", "Schedule"]


class Listener(Protocol):
    """Is told what happens, as it happens."""

    def started(self, cell: Cell) -> None:
        """A cell was handed to a worker."""

    def finished(self, record: Record) -> None:
        """A cell has a record."""


@dataclass
class Schedule:
    """Which cells may run now.

    Args:
        cells: what is to be done, parents before children.
        done: records of the networks that are already there, by id.
    """

    cells: Iterable[Cell]
    done: dict[str, Record] = field(default_factory=dict)
    _ready: deque[Cell] = field(default_factory=deque, init=False)
    _waiting: dict[str, list[Cell]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._ready.extend(cell for cell in self.cells if self._may_run(cell))

    def next(self) -> Cell | None:
        """A cell all of whose networks are there, or `None` if all others wait for one."""
        return self._ready.popleft() if self._ready else None

    def finish(self, record: Record) -> None:
        """Release the cells that waited for this one; they go first, while its data are warm."""
        self.done[record.id] = record
        released = [cell for cell in self._waiting.pop(record.id, []) if self._may_run(cell)]
        self._ready.extendleft(reversed(released))

    def needed_by(self, cell: Cell) -> list[Record]:
        """The records of the networks that the cell reads."""
        return [self.done[other] for other in cell.needs]

    def _may_run(self, cell: Cell) -> bool:
        """Whether all that the cell needs is there; else it waits for the first that is not."""
        missing = next((other for other in cell.needs if other not in self.done), None)
        if missing is not None:
            self._waiting.setdefault(missing, []).append(cell)
        return missing is None

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
        done: records of the parents that are already there, by id.
    """

    cells: Iterable[Cell]
    done: dict[str, Record] = field(default_factory=dict)
    _ready: deque[Cell] = field(default_factory=deque, init=False)
    _waiting: dict[str, list[Cell]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for cell in self.cells:
            if cell.parent is None or cell.parent in self.done:
                self._ready.append(cell)
            else:
                self._waiting.setdefault(cell.parent, []).append(cell)

    def next(self) -> Cell | None:
        """A cell whose parent is there, or `None` if all others wait for one."""
        return self._ready.popleft() if self._ready else None

    def finish(self, record: Record) -> None:
        """Release the cells that waited for this one; they go first, while its data are warm."""
        self.done[record.id] = record
        self._ready.extendleft(reversed(self._waiting.pop(record.id, [])))

    def parent_of(self, cell: Cell) -> Record | None:
        """The record of the cell's parent, if it has one."""
        return self.done.get(cell.parent) if cell.parent is not None else None

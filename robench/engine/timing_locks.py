"""Who may run beside whom on one machine: cells that take time run with nothing beside them.

One run sees to that by itself (`robench.engine.schedule`). Between runs on the same machine, locks
of files do, which the system gives back when a process dies:

* ``robench-timing.lock`` in the folder for temporary files: one cell that takes time at a time,
  whatever the results folder;
* ``RESULTS/.runs/MACHINE.room``: shared by the runs on that folder while they do other cells, and
  held alone by one that takes time;
* ``RESULTS/.runs/MACHINE.next``: held by who waits for the room, so that no more cells begin.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from robench.engine.schedule import runs_alone
from robench.spec import Cell
from robench.store.owner import machine_key

__all__ = ["TimingLocks"]

_Way = Literal["shared", "alone"]


@dataclass
class _Lock:
    """A lock on a file, shared or alone; without one where the file system has none."""

    path: Path
    way: _Way | None = field(default=None, init=False)
    _descriptor: int | None = field(default=None, init=False)

    def take(self, way: _Way) -> bool:
        """Try to hold it in that way; tells whether it is held so now."""
        if self.way == way:
            return True
        self.give()
        try:
            descriptor = _open(self.path)
        except OSError:
            self.way = way
            return True
        try:
            kind = fcntl.LOCK_SH if way == "shared" else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:  # no locks here
            pass
        self._descriptor, self.way = descriptor, way
        return True

    def give(self) -> None:
        """Hold it no longer."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self.way = None, None


class TimingLocks:
    """Whether a run may begin a cell now, as far as other runs on this machine are concerned.

    Args:
        results: the folder of the run.
    """

    def __init__(self, results: Path) -> None:
        folder = results / ".runs"
        self._machine = _Lock(Path(tempfile.gettempdir()) / "robench-timing.lock")
        self._room = _Lock(folder / f"{machine_key()}.room")
        self._next = _Lock(folder / f"{machine_key()}.next")
        self.reason = ""
        """Why the last cell could not begin."""

    def may_begin(self, cell: Cell, *, is_idle: bool) -> bool:
        """Whether a cell may begin; if it may, others see it until `end`.

        Args:
            cell: what is to begin.
            is_idle: whether the run does nothing else just now.
        """
        return self._may_time() if runs_alone(cell.stage) else self._may_join(is_idle)

    def end(self) -> None:
        """Nothing goes on any more in this run."""
        for lock in (self._room, self._next, self._machine):
            lock.give()

    def _may_time(self) -> bool:
        self.reason = "another run takes time on this machine"
        if not self._machine.take("alone"):
            self._room.give()
            return False
        self.reason = "another run works in this folder, beside which no time can be taken"
        if not self._next.take("alone"):
            self._machine.give()
            return False
        return self._room.take("alone")

    def _may_join(self, is_idle: bool) -> bool:
        if self._room.way == "alone":
            if not is_idle:
                return False
            self.end()
        self.reason = "another run takes time in this folder"
        # Who waits for the room goes first.
        may_join = self._next.take("shared") and self._room.take("shared")
        self._next.give()
        if is_idle and not may_join:
            self._room.give()
        return may_join


def _open(path: Path) -> int:
    """Open a file for locking, which everybody may; nobody writes into it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o644)
        os.fchmod(descriptor, 0o644)  # whatever the mask of rights of who comes first
        return descriptor

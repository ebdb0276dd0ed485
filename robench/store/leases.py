"""Which run does which cell, so that several runs on one folder share the work.

    RESULTS/.runs/TOKEN.json     a run that is going on: its process, and when it was last alive
    RESULTS/.claims/CELL.N       a link that names the run which does the cell now

A lease is made by one system call, which one run alone can win; nobody takes another's lease away.
Where the run that holds ``CELL.0`` has died, ``CELL.1`` is the next to be made, and the last one
holds. A record is written before its lease is given up: whoever gets a lease looks for the record.

On the same machine a run is dead when its process is; on another when it has not been heard of.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from robench.errors import StoreError
from robench.files import write_atomically
from robench.spec.base import Frozen
from robench.store.owner import Owner

__all__ = ["Leases", "OtherRun"]

_BEAT_S = 5.0
_SILENT_S = 120.0
"""Seconds after which a run on another machine that was not heard of counts as dead."""


class OtherRun(Frozen):
    """A run, as the others see it."""

    token: str
    owner: Owner


@dataclass
class Leases:
    """The cells that one run does.

    Args:
        root: the results folder.

    Attributes:
        token: the name of the run.
    """

    root: Path
    token: str = field(default_factory=lambda: secrets.token_hex(8), init=False)
    _held: set[str] = field(default_factory=set, init=False)
    _ended: threading.Event = field(default_factory=threading.Event, init=False)

    def open(self) -> None:
        """Make the run known.

        Raises:
            StoreError: the folder cannot be written.
        """
        known = OtherRun(token=self.token, owner=Owner.this_process())
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.run_file, known.model_dump_json().encode())
        except OSError as error:
            raise StoreError(
                f"the results folder {str(self.root)!r} cannot be written: {error.strerror}",
                hint="choose another one with --results DIR",
            ) from error
        threading.Thread(target=self._beat, name="robench-heartbeat", daemon=True).start()

    def close(self) -> None:
        """Give up every lease, and the run with them."""
        self._ended.set()
        for cell_id in tuple(self._held):
            self.release(cell_id)
        self.run_file.unlink(missing_ok=True)

    @property
    def run_file(self) -> Path:
        """It is there as long as the run is, and the folder."""
        return self.root / ".runs" / f"{self.token}.json"

    # -- cells --------------------------------------------------------------------------------

    def acquire(self, cell_id: str) -> bool:
        """Whether this run may do the cell: nobody alive does.

        Raises:
            StoreError: the folder cannot be written.
        """
        for number in itertools.count():
            link = self._link(cell_id, number)
            try:
                link.symlink_to(self.token)
            except FileExistsError:
                holder = _target(link)
                if holder is None:  # given up just now
                    return self.acquire(cell_id)
                if holder == self.token:
                    break
                if self.is_alive(holder):
                    return False
            except OSError as error:
                raise StoreError(
                    f"the results folder {str(self.root)!r} cannot be written: {error.strerror}",
                    hint="choose another one with --results DIR",
                ) from error
            else:
                break
        self._held.add(cell_id)
        return True

    def release(self, cell_id: str) -> None:
        """Give a lease up, after the record was written."""
        self._held.discard(cell_id)
        for number in itertools.count():
            try:
                self._link(cell_id, number).unlink()
            except OSError:
                return

    def is_leased(self, cell_id: str) -> bool:
        """Whether another run that is alive does the cell."""
        last = None
        for number in itertools.count():
            holder = _target(self._link(cell_id, number))
            if holder is None:
                break
            last = holder
        return last is not None and last != self.token and self.is_alive(last)

    # -- runs ---------------------------------------------------------------------------------

    def is_alive(self, token: str) -> bool:
        """Whether a run goes on."""
        path = self.root / ".runs" / f"{token}.json"
        try:
            run = OtherRun.model_validate_json(path.read_bytes())
            is_known = run.owner.is_alive()
            return self._is_heard_of(path) if is_known is None else is_known
        except (OSError, ValidationError):
            return False

    def others(self) -> list[OtherRun]:
        """The runs besides this one that go on in the folder."""
        found = []
        for path in sorted((self.root / ".runs").glob("*.json")):
            if path.stem != self.token and self.is_alive(path.stem):
                try:
                    found.append(OtherRun.model_validate_json(path.read_bytes()))
                except (OSError, ValidationError):  # it ended just now
                    continue
        return found

    # -- inside -------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self.root / ".claims"

    def _link(self, cell_id: str, number: int) -> Path:
        return self._folder / f"{cell_id}.{number}"

    def _is_heard_of(self, path: Path) -> bool:
        """By the clock of the folder's own machine: those of two machines may differ."""
        os.utime(self.run_file)
        return self.run_file.stat().st_mtime - path.stat().st_mtime < _SILENT_S

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_S):
            try:
                os.utime(self.run_file)
            except OSError:  # the folder is gone, which the run notices by itself
                return


def _target(link: Path) -> str | None:
    try:
        return str(link.readlink())
    except OSError:
        return None

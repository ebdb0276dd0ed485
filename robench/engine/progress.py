"""Progress of a run: a live line where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from robench.engine.schedule import runs_alone
from robench.escape import for_terminal
from robench.spec import Cell, Record
from robench.store.leases import OtherRun

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar

__all__ = [
    "PlainProgress",
    "Progress",
    "RichProgress",
    "Silent",
    "choose_progress",
    "crashed_attacks",
]

_SECONDS_BETWEEN_LINES = 5.0
_SERIOUS = {"failed", "over-budget", "interrupted"}


class Progress:
    """Counts what is done, failed and left, and guesses how long the rest takes."""

    def __init__(self) -> None:
        self.left: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._told: set[str] = set()
        self._jobs = 1

    @contextmanager
    def of(self, cells: Sequence[Cell], *, already: int, jobs: int) -> Iterator[None]:
        """Show the progress of these cells while the block runs."""
        self.left = Counter(cell.stage for cell in cells)
        self.statuses = Counter()
        self._jobs = max(1, jobs)
        self.begin(len(cells), already)
        try:
            yield
        finally:
            self.end()

    @contextmanager
    def of_loggers(self) -> Iterator[None]:
        """Show what robench's loggers say, such as the fetching and decoding of a data set."""
        logger = logging.getLogger("robench")
        handler = _Notes(self)
        before = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)

    def started(self, cell: Cell) -> None:
        """A cell was handed to a worker."""

    def begun_again(self, cell: Cell, why: str) -> None:
        """The worker of a cell was lost, and the cell is begun again."""
        self._note_once(f"{cell.label} [{cell.id}]: {why}; it is begun again")

    def waiting(self, why: str) -> None:
        """No cell may begin just now."""
        self._note_once(f"waiting: {why}")

    def joined(self, other: OtherRun) -> None:
        """Another run works in the same folder."""
        process = f"process {other.owner.pid} on {other.owner.host}"
        self._note_once(f"another run ({process}) works in this folder: the cells are shared")

    def _note_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.note(text)

    def finished(self, record: Record) -> None:
        """A cell has a record."""
        if changed := record.provenance.get("state_changed"):
            what = ", ".join(map(str, changed)) if isinstance(changed, list) else str(changed)
            self._note_once(
                f"{record.cell.method.label} left changed what all cells share, and it was set "
                f"back: {what}"
            )
        stage = record.cell.stage
        self.left[stage] -= 1
        self.statuses[record.status] += 1
        wall_s = record.provenance.get("wall_s")
        if isinstance(wall_s, float):
            self._seconds[stage].append(wall_s)
        if record.status in _SERIOUS:
            cause = (record.reason or "").partition(" at step ")[0]
            self._tell_once(f"{record.cell.method.label}: {cause}", _failure(record))
        for attack, error in crashed_attacks(record).items():
            crash = f"the attack {attack!r} crashed on {record.cell.label} [{record.id}]: {error}"
            self._tell_once(f"{attack}: {error}", crash)
        self.show(record)

    def _tell_once(self, cause: str, text: str) -> None:
        """Show a failure, but not each of a hundred with the same cause."""
        if cause not in self._told:
            self._told.add(cause)
            self.note(text)

    def remaining_s(self) -> float | None:
        """Seconds until the end, from how long the cells of each stage took so far."""
        if not self._seconds:
            return None
        every = [second for seconds in self._seconds.values() for second in seconds]
        total = 0.0
        for stage, count in self.left.items():
            seconds = self._seconds.get(stage, every)
            workers = 1 if runs_alone(stage) else self._jobs
            total += count * sum(seconds) / len(seconds) / workers
        return total

    def line(self) -> str:
        """Done, failed, left and the time that remains, in one line."""
        unlucky = [
            f"{count} {status}" for status, count in sorted(self.statuses.items()) if status != "ok"
        ]
        remaining = self.remaining_s()
        parts = [
            f"{self.statuses['ok']} done",
            *unlucky,
            f"{max(0, self.left.total())} left",
        ]
        if remaining is not None and self.left.total() > 0:
            parts.append(f"about {_duration(remaining)} to go")
        return ", ".join(parts)

    # -- what each kind shows -----------------------------------------------------------------

    def begin(self, count: int, already: int) -> None:
        """The run begins."""

    def show(self, record: Record) -> None:
        """Something changed."""

    def end(self) -> None:
        """The run is over, or interrupted."""

    def note(self, text: str) -> None:
        """Something that a person should know."""


class _Notes(logging.Handler):
    """Turns log lines into notes."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.note(record.getMessage())


class Silent(Progress):
    """Shows nothing."""


class PlainProgress(Progress):
    """A line every few seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._next = 0.0

    def begin(self, count: int, already: int) -> None:
        """See `Progress.begin`."""
        self.note(f"{count} cells to do, {already} already there")
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def show(self, record: Record) -> None:
        """See `Progress.show`."""
        if time.monotonic() >= self._next:
            self.note(f"{self.line()}; last: {for_terminal(record.cell.label)}")
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def end(self) -> None:
        """See `Progress.end`."""
        self.note(self.line())

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        print(for_terminal(text, lines=True), file=self._stream, flush=True)


class RichProgress(Progress):
    """A bar that stays in its place, with failures above it."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(stderr=True)
        self._bar: RichBar | None = None

    def begin(self, count: int, already: int) -> None:
        """See `Progress.begin`."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichBar

        self._bar = RichBar(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
        )
        there = f"{already} already there" if already else ""
        self._task = self._bar.add_task(there, total=count)
        self._bar.start()

    def show(self, record: Record) -> None:
        """See `Progress.show`."""
        del record  # the line sums it up
        if self._bar is not None:
            self._bar.update(self._task, advance=1, description=self.line())

    def end(self) -> None:
        """See `Progress.end`."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._console.print(for_terminal(text, lines=True), markup=False, highlight=False)


def choose_progress() -> Progress:
    """A bar where standard error is a terminal, else plain lines."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()


def crashed_attacks(record: Record) -> dict[str, str]:
    """Attack → first line of its error, of members and guests that crashed in an attack's cell.

    The cell is not lost with them: the other attacks count.
    """
    attacks = record.details.get("attacks")
    told = attacks.items() if isinstance(attacks, dict) else ()
    return {
        name: str(entry["error"]).partition("\n")[0]
        for name, entry in told
        if isinstance(entry, dict) and entry.get("error")
    }


def _failure(record: Record) -> str:
    first_line = (record.reason or "").partition("\n")[0]
    return for_terminal(f"{record.status}: {record.cell.label} [{record.id}]: {first_line}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"

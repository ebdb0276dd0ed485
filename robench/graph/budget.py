"""How long a choice may take that is made by timing, and how far it has come."""

from __future__ import annotations

import math
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from robench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.progress import Progress, TaskID

__all__ = ["CHOICE_S", "Budget", "shown"]

CHOICE_S = 60.0
"""Seconds that :func:`robench.compact` and an inference form spend on timing layers, by default."""
_SHOWN_AFTER_S = 2.0

T = TypeVar("T")


class Budget:
    """Seconds for timing layers; a layer that is begun is finished.

    Args:
        seconds: 0 or more; with 0 nothing is timed.
        clock: seconds, never running backwards.

    Raises:
        InputError: that is no time.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        given: object = seconds
        is_time = isinstance(given, int | float) and not isinstance(given, bool) and seconds >= 0
        if not is_time:  # not a number is no time either
            raise InputError(
                f"choice_s={seconds!r}", allowed="seconds, 0 or more; float('inf') for no limit"
            )
        self._clock, self._end = clock, clock() + seconds

    @property
    def is_spent(self) -> bool:
        """Whether the time is over."""
        return self._clock() >= self._end

    def part(self, share: float) -> Budget:
        """A budget of that share of what is left."""
        return Budget(max(0.0, share * (self._end - self._clock())), self._clock)

    def spend(self, tasks: Iterable[T], what: str) -> Iterator[T]:
        """The tasks, until the time is over.

        Where they take longer than two seconds and standard error is a terminal, it shows how many
        are done.
        """
        waiting = list(tasks)
        begun = self._clock()
        with _bar() as start:
            shown: tuple[Progress, TaskID] | None = None
            for number, task in enumerate(waiting):
                if self.is_spent:
                    return
                if shown is None and self._clock() - begun > _SHOWN_AFTER_S:
                    shown = start(what, len(waiting))
                if shown is not None:
                    shown[0].update(shown[1], completed=number)
                yield task


def shown(tasks: Iterable[T], what: str) -> Iterator[T]:
    """All tasks, with the bar that :meth:`Budget.spend` has."""
    return Budget(math.inf).spend(tasks, what)


@contextmanager
def _bar() -> Iterator[Callable[[str, int], tuple[Progress, TaskID] | None]]:
    """A function that shows a bar, which goes with the block."""
    bars: list[Progress] = []

    def start(what: str, count: int) -> tuple[Progress, TaskID] | None:
        if not sys.stderr.isatty():
            return None
        from rich.console import Console
        from rich.progress import Progress

        bar = Progress(console=Console(stderr=True), transient=True)
        bars.append(bar)
        bar.start()
        return bar, bar.add_task(what, total=count)

    try:
        yield start
    finally:
        for bar in bars:
            bar.stop()

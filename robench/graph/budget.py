"""Time limit and progress bar for choices that are made by timing."""

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
"""Seconds that :func:`robench.compact` and :func:`robench.inference_form` spend on timing, by
default."""
_SHOWN_AFTER_S = 2.0
"""Seconds after which a progress bar appears."""

T = TypeVar("T")


class Budget:
    """Time limit for timing layers; a layer that was started is finished.

    Args:
        seconds: 0 or more; with 0 nothing is timed.
        clock: monotonic, in seconds.

    Raises:
        InputError: `seconds` is negative or no number.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        given: object = seconds
        is_time = isinstance(given, int | float) and not isinstance(given, bool) and seconds >= 0
        if not is_time:  # NaN fails as well
            raise InputError(
                f"choice_s={seconds!r}", allowed="seconds, 0 or more; float('inf') for no limit"
            )
        self._clock, self._end = clock, clock() + seconds

    @property
    def is_spent(self) -> bool:
        """Whether no time is left."""
        return self._clock() >= self._end

    def part(self, share: float) -> Budget:
        """A budget of this share of the remaining time."""
        return Budget(max(0.0, share * (self._end - self._clock())), self._clock)

    def spend(self, tasks: Iterable[T], what: str) -> Iterator[T]:
        """Yield tasks until no time is left.

        If they take longer than two seconds and standard error is a terminal, a progress bar shows
        how many are done.
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
    """Yield all tasks, with the progress bar of :meth:`Budget.spend`."""
    return Budget(math.inf).spend(tasks, what)


@contextmanager
def _bar() -> Iterator[Callable[[str, int], tuple[Progress, TaskID] | None]]:
    """A function that shows a progress bar, which is removed at the end of the block."""
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

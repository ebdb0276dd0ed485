"""A progress bar for long evaluations, on standard error if that is a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar

__all__ = ["SHOWN_AFTER_S", "Bar", "shown"]

SHOWN_AFTER_S = 2.0
"""Delay in seconds before the bar appears; shorter evaluations show none."""


class Bar:
    """Counts steps, and draws a progress bar after a delay.

    Args:
        total: steps, in units of work.
        visible: whether it is drawn at all.
    """

    def __init__(self, total: int, *, visible: bool) -> None:
        self._total = total
        self._done = 0
        self._doing = ""
        self._drawn: RichBar | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(SHOWN_AFTER_S, self._draw)
        self._timer.daemon = True
        self._is_over = not visible
        if visible:
            self._timer.start()

    def doing(self, what: str) -> None:
        """Set the description of the current step."""
        self._update(0, what)

    def advance(self, steps: int) -> None:
        """Count further steps as done."""
        self._update(steps, self._doing)

    def end(self) -> None:
        """Stop and remove the bar."""
        with self._lock:
            was_over, self._is_over = self._is_over, True
            if self._drawn is not None:
                self._drawn.refresh()
                self._drawn.stop()
                self._drawn = None
        if not was_over:
            self._timer.cancel()
            self._timer.join()

    def _update(self, steps: int, what: str) -> None:
        with self._lock:
            self._done += steps
            self._doing = what
            if self._drawn is not None:
                [task] = self._drawn.task_ids
                self._drawn.update(task, completed=self._done, description=what)

    def _draw(self) -> None:
        from rich.console import Console
        from rich.errors import LiveError
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        with self._lock:
            if self._is_over:
                return
            bar = Progress(
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            bar.add_task(self._doing, total=self._total, completed=self._done)
            try:
                bar.start()
            except LiveError:  # another bar is there already, and may stay
                return
            self._drawn = bar


@contextmanager
def shown(total: int, progress: bool | None) -> Iterator[Bar]:
    """Show a progress bar while the block runs.

    Args:
        total: steps.
        progress: whether it is drawn; `None` where standard error is a terminal.
    """
    bar = Bar(total, visible=sys.stderr.isatty() if progress is None else progress)
    try:
        yield bar
    finally:
        bar.end()

"""Interrupts of the user, told apart from what a plug-in raises, and limits of time.

A plug-in may raise `KeyboardInterrupt` itself, or swallow the user's: what counts is whether a
signal came. Signals can be handled in the main thread alone; elsewhere nothing is changed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["OverLimit", "is_interrupted", "listening", "within"]

_REPEAT_S = 1.0
"""Seconds after which a cell that swallowed the end of its time is told again."""


class OverLimit(BaseException):
    """The time of a cell is over. Not an `Exception`, since plug-ins catch these."""


class _Interrupted:
    came = False


def is_interrupted() -> bool:
    """Whether the user has asked for the end of the run."""
    return _Interrupted.came


@contextmanager
def listening() -> Iterator[None]:
    """Notice interrupts while the block runs; a polite kill (SIGTERM) counts as one."""
    _Interrupted.came = False
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handler = before[signal.SIGINT]
    if callable(handler):  # else it is ignored, as in the background
        signal.signal(signal.SIGINT, _noticing(handler))
    signal.signal(signal.SIGTERM, _noticing(signal.default_int_handler))
    try:
        yield
    finally:
        for number, earlier in before.items():
            if earlier is not None:
                signal.signal(number, earlier)


def _noticing(handler: Callable[..., Any]) -> Callable[[int, FrameType | None], None]:
    def notice(number: int, frame: FrameType | None) -> None:
        _Interrupted.came = True
        handler(number, frame)

    return notice


@contextmanager
def within(limit_s: float | None) -> Iterator[None]:
    """Raise `OverLimit` in the block when its time is over, again and again until it ends.

    Only in the main thread, and only where Python code runs: what computes in C goes on to its end.
    """
    if limit_s is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise OverLimit

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s, _REPEAT_S)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # once more, for it may have rung amid the lines above
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""Watchdog: aborts an attack that no longer queries the model.

The query budget bounds the passes of an attack, but an attack that makes no query could run for
ever. A time limit for the whole attack would make results depend on the machine. The time between
two queries is the attack's own arithmetic, and ten minutes of it are a fault on any machine.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robench.attacks.core.oracle import Oracle

__all__ = ["PATIENCE_S", "SilentError", "ended_when_silent"]

PATIENCE_S = 600.0
"""Maximum time between two queries of an attack, in seconds."""


class SilentError(BaseException):
    """Raised inside an attack that has made no query for too long.

    It is no `Exception`, so that an attack with a broad ``except Exception`` does not catch it.
    """


@contextmanager
def ended_when_silent(oracle: Oracle, patience_s: float) -> Iterator[None]:
    """Raise `SilentError` in this block when the oracle was not queried for `patience_s` seconds.

    CPython delivers it between two bytecode instructions. A single C call that never returns is not
    interrupted; the time limits of the engine end such a process.
    """
    ended = threading.Event()
    delivery = threading.Lock()
    thread_id = threading.get_ident()

    def watch() -> None:
        left_s = patience_s
        while not ended.wait(left_s):
            left_s = patience_s - (time.monotonic() - oracle.idle_since)
            if left_s <= 0:
                with delivery:
                    if not ended.is_set():
                        _raise_in(thread_id)
                return
            left_s = min(left_s, patience_s)

    watcher = threading.Thread(target=watch, daemon=True, name="robench-silence")
    watcher.start()
    try:
        yield
    finally:
        with delivery:
            ended.set()
        # A thread that wakes while the interpreter shuts down can take the process with it.
        watcher.join()


def _raise_in(thread_id: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(SilentError)
    )

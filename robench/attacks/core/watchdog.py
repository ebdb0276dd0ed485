"""Ending an attack that has stopped asking.

What an attack asks is bounded by its budget, but an attack that asks nothing costs no passes and
may compute for ever. A clock for the whole attack would make figures depend on the machine; the
time between two questions is the attack's own arithmetic, and ten minutes of it are a fault on any.
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
"""For how long an attack may ask nothing."""


class SilentError(BaseException):
    """Raised inside an attack that asked nothing for too long.

    No `Exception`, so that an attack which catches everything in a loop does not catch this.
    """


@contextmanager
def ended_when_silent(oracle: Oracle, patience_s: float) -> Iterator[None]:
    """Raise `SilentError` in this block when the oracle was not asked for `patience_s`.

    CPython delivers it between two instructions of Python: a single call into C that never returns
    is not ended here, but by whoever ends the process, as the engine does with its time limits.
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

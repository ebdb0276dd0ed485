"""The main programs of worker processes: cells come in through a pipe, answers go out."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any, Literal

from robench.engine.context import Setting, become_worker, load_data
from robench.engine.interrupts import within
from robench.engine.worker import prepare_process, run_cell
from robench.errors import StoreError, text_of
from robench.spec import Cell, Record

__all__ = ["Answer", "nurse", "serve"]

_SECONDS_BETWEEN_LOOKS = 0.5

Answer = (
    tuple[Literal["ready"]]
    | tuple[Literal["unfit"], str]
    | tuple[Literal["started"]]
    | tuple[Literal["ended"], Record, bool]
    | tuple[Literal["stuck"], StoreError]
    | tuple[Literal["broken"], str]
)
"""What a worker says: that it is ready, or why it never will be; that the clock of a cell has
started; a record, and whether the worker goes on; why a record cannot be written; what else went
wrong with a cell."""


def serve(descriptor: int, parent: int) -> None:
    """Prepare this process, and do cells until there are no more.

    Args:
        descriptor: of the pipe, in both directions.
        parent: the process that started this one.
    """
    _ignore_interrupts()
    _die_with(parent)
    pipe = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):  # the parent needs no more
        setting: Setting = pipe.recv()
        if _is_prepared(pipe, setting):
            _do_cells(pipe, setting)
    _leave()


def nurse(descriptor: int, parent: int) -> None:
    """Prepare this process, and copy it for each worker that is asked for.

    Args:
        descriptor: of the pipe, in both directions.
        parent: the process that started this one; when it ends, so does the pipe.
    """
    del parent
    _ignore_interrupts()
    pipe = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):
        setting: Setting = pipe.recv()
        if _is_prepared(pipe, setting):
            _nurse(pipe, setting)
    _leave()


def _nurse(pipe: Connection, setting: Setting) -> None:
    # Threads are not copied; what a plug-in does with its own would wait for ever.
    pipe.send(("ready",) if threading.active_count() == 1 else ("threads",))
    while True:
        request, pid = pipe.recv()
        if request == "fork":
            descriptor = recv_handle(pipe)
            child = os.fork()
            if child == 0:
                pipe.close()
                _be_copy(Connection(descriptor), setting)
            os.close(descriptor)
            pipe.send(child)
        else:
            pipe.send(_code(pid, 0 if request == "wait" else os.WNOHANG))


def _be_copy(pipe: Connection, setting: Setting) -> None:
    """What a copy of the nursery does with its life."""
    try:
        _die_with(os.getppid())
        with contextlib.suppress(EOFError, OSError):
            pipe.send(("ready",))
            _do_cells(pipe, setting)
    finally:
        _leave()


def _code(pid: int, options: int) -> int | None:
    """How a child ended, if it has."""
    try:
        found, status = os.waitpid(pid, options)
    except ChildProcessError:  # a plug-in has waited for it
        return -signal.SIGKILL
    return os.waitstatus_to_exitcode(status) if found else None


def _is_prepared(pipe: Connection, setting: Setting) -> bool:
    become_worker()
    try:
        prepare_process(setting)
    except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything on import
        pipe.send(("unfit", text_of(error)))
        return False
    return True


def _do_cells(pipe: Connection, setting: Setting) -> None:
    """Do what comes, as long as this process is fit for it."""
    is_clean = True
    while is_clean:
        cell: Cell = pipe.recv()
        _load(cell, setting)
        answer: Any
        pipe.send(("started",))
        try:
            finished = run_cell(cell, setting)
        except StoreError as error:
            answer = ("stuck", error)
        except BaseException as error:  # noqa: BLE001 - a row, whatever it is
            answer = ("broken", text_of(error))
        else:
            is_clean = finished.is_clean
            answer = ("ended", finished.record, is_clean)
        pipe.send(answer)


def _load(cell: Cell, setting: Setting) -> None:
    """Load the data set off the clock; what goes wrong does so again in the cell, and is told."""
    with contextlib.suppress(BaseException), within(setting.limit_s):
        load_data(cell, setting)


def _ignore_interrupts() -> None:
    """The parent process alone answers an interrupt: it stops the workers and writes it down."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _die_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed without a word to anyone.

    Else the cell in flight would go on beside the run that is started next.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, name="robench-die-with-parent", daemon=True).start()


def _leave() -> None:
    """End at once: threads that a plug-in left behind keep nobody waiting."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)

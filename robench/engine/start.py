"""Starting worker processes: as programs of their own, or as copies of one that is prepared.

To import torch and the stages takes seconds of each process. Where it is safe, one process, the
*nursery*, does so once and is then copied for each worker (`os.fork`), in milliseconds. It is not
safe with a GPU, whose driver does not survive it, nor outside Linux, nor beside other threads:
there each worker is a program that prepares itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import Protocol

import psutil

from robench.engine.context import Setting
from robench.errors import WorkersError

__all__ = ["ForkServer", "Process", "Programs", "Starter", "starter"]

_PROGRAM = """\
import sys
sys.path[:] = {path!r}
from robench.engine.worker_main import {function}
{function}({descriptor}, {parent})
"""
_FAREWELL_S = 2.0
_STARTS = 3
"""How often a nursery that dies while it gets ready is started."""


class Process(Protocol):
    """A worker process, seen from outside."""

    pipe: Connection

    def poll(self) -> int | None:
        """How it ended: an exit status, or a signal as a negative number; `None` if it has not."""

    def kill(self) -> None:
        """End it at once, and what it has started."""


class Starter(Protocol):
    """Starts worker processes."""

    def start(self) -> Process:
        """A new one.

        Raises:
            WorkersError: it cannot be started.
        """

    def stop(self) -> None:
        """Start no more."""


def starter(setting: Setting) -> Starter:
    """What starts workers on this machine."""
    import torch

    is_safe = sys.platform == "linux" and not torch.cuda.is_available()
    return ForkServer(setting) if is_safe else Programs(setting)


@dataclass
class _Program:
    """A process that this one has started."""

    popen: subprocess.Popen[bytes]
    pipe: Connection

    def poll(self) -> int | None:
        return self.popen.poll()

    def kill(self) -> None:
        if self.popen.poll() is None:
            _kill_family(self.popen.pid)
            self.popen.wait()


@dataclass
class Programs:
    """Each worker prepares itself.

    Args:
        setting: what all cells share.
    """

    setting: Setting

    def start(self) -> Process:
        """See `Starter.start`."""
        program = _run("serve")
        with contextlib.suppress(OSError):  # it died at once, which is noticed later
            program.pipe.send(self.setting)
        return program

    def stop(self) -> None:
        """See `Starter.stop`."""


@dataclass
class _Copy:
    """A process that the nursery has started."""

    nursery: _Program
    pid: int
    pipe: Connection
    _code: int | None = field(default=None, init=False)

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._asked("poll")
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            _kill_family(self.pid)
            self._code = self._asked("wait")

    def _asked(self, how: str) -> int | None:
        """Only the parent of a process can tell how it ended."""
        try:
            self.nursery.pipe.send((how, self.pid))
            code: int | None = self.nursery.pipe.recv()
        except (OSError, EOFError):  # the nursery is dead, and its copies end soon
            return -signal.SIGKILL
        return code


@dataclass
class ForkServer:
    """Workers are copies of one prepared process.

    Args:
        setting: what all cells share.
    """

    setting: Setting
    _program: _Program | None = field(default=None, init=False)
    _is_copied: bool = field(default=True, init=False)

    def start(self) -> Process:
        """See `Starter.start`."""
        for _ in range(_STARTS):
            program = self._prepared()
            if not self._is_copied:
                return Programs(self.setting).start()
            ours, theirs = multiprocessing.Pipe()
            try:
                program.pipe.send(("fork", None))
                send_handle(program.pipe, theirs.fileno(), program.popen.pid)
                pid = program.pipe.recv()
            except (OSError, EOFError):  # it was killed
                ours.close()
                self.stop()
                continue
            finally:
                theirs.close()
            return _Copy(program, pid, ours)
        raise WorkersError(f"the process that starts the workers died {_STARTS} times", hint=_HINT)

    def stop(self) -> None:
        """See `Starter.stop`."""
        if self._program is not None:
            self._program.pipe.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._program.popen.wait(_FAREWELL_S)
            self._program.kill()
            self._program = None

    def _prepared(self) -> _Program:
        """The nursery, once it is ready."""
        for _ in range(_STARTS):
            if self._program is not None:
                return self._program
            program = self._program = _run("nurse")
            try:
                program.pipe.send(self.setting)
                answer = program.pipe.recv()
            except (OSError, EOFError):
                self.stop()
                continue
            except KeyboardInterrupt:
                program.kill()
                raise
            if answer[0] == "unfit":
                self.stop()
                raise unfit(answer[1])
            self._is_copied = answer[0] == "ready"
            return program
        raise WorkersError(
            f"a worker process died while it started, {_STARTS} times in a row", hint=_HINT
        )


_HINT = "use none with --jobs 0; what the processes said stands above"


def unfit(why: str) -> WorkersError:
    """Workers that say themselves that they are of no use."""
    return WorkersError(
        f"the worker processes cannot do any cell: {why}",
        hint="mend what the message names; nothing was run or recorded",
    )


def _run(function: str) -> _Program:
    """Start a program that calls a function of `robench.engine.worker_main`.

    The caller's script is never imported, so that it needs no ``if __name__ == "__main__"``.
    """
    ours, theirs = multiprocessing.Pipe()
    path = [os.getcwd() if entry == "" else entry for entry in sys.path]  # noqa: PTH109
    program = _PROGRAM.format(
        path=path, function=function, descriptor=theirs.fileno(), parent=os.getpid()
    )
    # Lest an interrupt arrives before the worker can say that it ignores them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        popen = subprocess.Popen(  # noqa: S603 - the text is robench's own
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    except OSError as error:
        ours.close()
        raise WorkersError(
            f"a worker process cannot be started: {error.strerror}",
            hint="use fewer with --jobs N, or none with --jobs 0",
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return _Program(popen, ours)


def _kill_family(pid: int) -> None:
    """End a process and what it has started."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()

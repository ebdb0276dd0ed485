"""Which process is meant, on which machine, and whether it is still alive."""

from __future__ import annotations

import hashlib
import socket
from functools import cache
from pathlib import Path

import psutil

from robench.spec.base import Frozen

__all__ = ["Owner"]

_BORN_TOLERANCE_S = 1.0
"""Clocks are corrected; a process of the same number is never born within this time."""


class Owner(Frozen):
    """A process that cannot be mistaken for a later one of the same number."""

    machine: str
    """A machine between two of its starts, or a container on it: where process ids mean the
    same."""
    host: str
    """The machine's name, for messages."""
    pid: int
    born: float
    """When the process began, in seconds since 1970."""

    @classmethod
    def this_process(cls) -> Owner:
        """The process that asks."""
        process = psutil.Process()
        return cls(
            machine=machine_key(),
            host=socket.gethostname(),
            pid=process.pid,
            born=process.create_time(),
        )

    @property
    def is_here(self) -> bool:
        """Whether the process runs, or ran, where this one does."""
        return self.machine == machine_key()

    def is_alive(self) -> bool | None:
        """Whether the process is there; `None` where that cannot be told from here."""
        if not self.is_here:
            return None
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.born) < _BORN_TOLERANCE_S
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


@cache
def machine_key() -> str:
    """Names this machine until it is started again; another container has another name."""
    parts = [socket.gethostname()]
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        parts.append(boot.read_text().strip())
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # not Linux
        parts.append("")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

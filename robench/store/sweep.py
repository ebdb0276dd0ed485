"""What dead processes left behind: half-written files, leases, and runs that never said goodbye."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from robench.files import writer_of
from robench.store.leases import Leases

__all__ = ["sweep"]

_OLD_S = 3600.0
"""Seconds after which nobody writes at a temporary file any more, whoever began it."""


def sweep(leases: Leases) -> int:
    """Remove what no living process needs; gives the number of half-written files.

    Args:
        leases: of the run that sweeps; the folder is that of its results.
    """
    root = leases.root
    others = leases.others()
    # A process id says nothing about a process of another machine.
    is_alone_here = all(other.owner.is_here for other in others)
    count = 0
    for path in root.glob("cells/??/.*"):
        if _is_left_behind(path, is_alone_here):
            path.unlink(missing_ok=True)
            count += 1
    alive = {leases.token, *(other.token for other in others)}
    if not others:  # else one of them may be taking a dead run's lease over just now
        for link in (root / ".claims").glob("*.*"):
            link.unlink(missing_ok=True)
    for path in (root / ".runs").glob("*.json"):
        if path.stem not in alive:
            path.unlink(missing_ok=True)
    return count


def _is_left_behind(path: Path, is_alone_here: bool) -> bool:
    writer = writer_of(path)
    if writer is not None and is_alone_here:
        return not psutil.pid_exists(writer)
    try:
        return time.time() - path.stat().st_mtime > _OLD_S
    except OSError:
        return False

"""What a process does with one cell: from its spec to its record on disk."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from robench.engine.context import Setting, context_of
from robench.engine.interrupts import OverLimit, is_interrupted, within
from robench.engine.provenance import provenance
from robench.engine.resolve import check_code
from robench.engine.warm_up import warm_up
from robench.errors import (
    CheckpointError,
    NotApplicableError,
    RobenchError,
    StoreError,
    text_of,
)
from robench.plugin_files import load_plugin
from robench.spec import Cell, Record, as_json
from robench.stages import stage
from robench.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from robench.engine.state import Changes
    from robench.stages.base import Outcome

__all__ = [
    "GRACE_S",
    "Finished",
    "load_plugins",
    "over_limit",
    "prepare_process",
    "run_cell",
]

GRACE_S = 5.0
"""Seconds that a cell whose time is over has to end by itself, with a traceback."""
_TRACEBACK_LINES = 12


@dataclass(frozen=True)
class Finished:
    """A cell that has a record.

    Attributes:
        record: as it lies on disk.
        is_clean: whether the process is as it was before; else it should do no further cell.
    """

    record: Record
    is_clean: bool = True


@dataclass
class _Attempt:
    """What came of a cell, before it is a record."""

    outcome: Outcome
    read: dict[str, str] = field(default_factory=dict)
    """Hash of each checkpoint that was read, by the id of its cell."""
    wall_s: float = 0.0
    changes: Changes | None = None


def prepare_process(setting: Setting) -> None:
    """Make this process ready for cells: one torch thread, plug-ins loaded, imports done."""
    limit_threads()
    warm_up(setting.stages)
    load_plugins(setting.plugins)


def load_plugins(files: Collection[str | Path]) -> list[tuple[str, str]]:
    """Import plug-in files; what they change for all code on the way is set back.

    Returns:
        Kind and name of each plug-in.

    Raises:
        PluginError: a file is missing, raises on import, or defines no plug-in.
    """
    if not files:
        return []
    from robench.engine.state import SharedState

    state = SharedState()
    try:
        return [named for file in files for named in load_plugin(file)]
    finally:
        state.restore()


def limit_threads() -> None:
    """One thread for each worker: more of them than cores slow every worker down many times."""
    import torch

    torch.set_num_threads(1)


def run_cell(cell: Cell, setting: Setting) -> Finished:
    """Run one cell and write its record. What goes wrong becomes the record's status.

    Raises:
        KeyboardInterrupt: the user asked for the end; there is no record.
        StoreError: the record cannot be written.
    """
    store = Store(setting.results)
    started = datetime.now(UTC)
    attempt = _attempt(cell, setting, store)
    _check_folder(setting)
    checkpoint = attempt.outcome.checkpoint
    path = store.checkpoint_path(cell.id)
    sha256 = checkpoint.save(path) if checkpoint is not None else None
    changes = attempt.changes
    record = Record(
        id=cell.id,
        cell=cell,
        status=attempt.outcome.status,
        reason=attempt.outcome.reason,
        traceback=attempt.outcome.traceback,
        metrics=attempt.outcome.metrics,
        details=dict(attempt.outcome.details),
        arrays=tuple(sorted(attempt.outcome.arrays)),
        checkpoint_sha256=sha256,
        inputs=attempt.read,
        provenance={
            **provenance(started, attempt.wall_s),
            **({"state_changed": list(changes.names)} if changes and changes.names else {}),
        },
    )
    store.write(record, attempt.outcome.arrays)
    is_over = record.status == "over-budget"  # broken off anywhere, perhaps amid an import
    return Finished(record, not is_over and (changes is None or changes.is_undone))


def over_limit(limit_s: float) -> str:
    """Why a cell is over its budget."""
    return f"it took longer than the {limit_s:g} s that a cell may take"


def _attempt(cell: Cell, setting: Setting, store: Store) -> _Attempt:
    """The outcome of the cell's stage; whatever it raises becomes one too."""
    from robench.engine.state import SharedState, seed_global_generators

    read: dict[str, str] = {}
    state = SharedState()
    seed_global_generators(cell.id)
    clock = time.perf_counter()
    try:
        outcome = _checked(_outcome(cell, setting, store, read))
    except BaseException as error:
        if is_interrupted():
            state.restore()
            raise
        outcome = _of_error(error, setting)
    wall_s = time.perf_counter() - clock
    changes = state.restore()
    if is_interrupted():  # a plug-in swallowed it
        raise KeyboardInterrupt
    if setting.limit_s is not None and wall_s > setting.limit_s and outcome.status == "ok":
        outcome = _of_error(OverLimit(), setting)
    return _Attempt(outcome, read, wall_s, changes)


def _outcome(cell: Cell, setting: Setting, store: Store, read: dict[str, str]) -> Outcome:
    declared = stage(cell.stage)
    check_code(cell)
    with within(setting.limit_s):
        return declared.checked(declared.run(cell, context_of(cell, setting, store, read)))


def _checked(outcome: Outcome) -> Outcome:
    """An outcome that can be written down.

    Raises:
        TypeError: a plug-in noted something that is no plain data.
    """
    details = {key: as_json(item) for key, item in outcome.details.items()}
    return replace(outcome, details=details)


def _of_error(error: BaseException, setting: Setting) -> Outcome:
    """The row of what a cell raised."""
    from robench.stages.base import Outcome

    tail = _traceback_tail(error)
    match error:
        case OverLimit():
            limit_s = setting.limit_s or 0.0
            return Outcome(status="over-budget", reason=over_limit(limit_s), traceback=tail)
        case NotApplicableError():
            return Outcome(status="not-applicable", reason=str(error))
        case CheckpointError():
            # Not the method's failure: the next run trains the network again.
            return Outcome(status="interrupted", reason=str(error))
        case RobenchError():
            # The message says it all, unless somebody else's error lies beneath.
            below = tail if error.__cause__ is not None else None
            return Outcome(status="failed", reason=_text(error), traceback=below)
        case _:
            return Outcome(status="failed", reason=text_of(error), traceback=tail)


def _text(error: RobenchError) -> str:
    """The message of an error of robench's own, as a record can hold it."""
    return str(error).encode("utf-8", "backslashreplace").decode()


def _traceback_tail(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error)).strip()
    lines = text.encode("utf-8", "backslashreplace").decode().splitlines()
    return "\n".join(lines[-_TRACEBACK_LINES:])


def _check_folder(setting: Setting) -> None:
    if setting.run_file is not None and not setting.run_file.exists():
        raise StoreError(
            f"the results folder {str(setting.results)!r} was removed while the run went on",
            hint="run the suite again",
        )

"""What a worker process does: one cell at a time, from its spec to its record on disk."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from robench.engine.resolve import check_code
from robench.errors import NotApplicableError, RobenchError, StoreError
from robench.plugin_files import load_plugin
from robench.spec import Cell, Record, as_json, canonical_json
from robench.store import Store

if TYPE_CHECKING:
    from pydantic import JsonValue

    from robench.data.base import Data
    from robench.stages.base import Context, Outcome
    from robench.training.checkpoint import Checkpoint

__all__ = ["Setting", "context_of", "prepare_worker", "run_cell"]

_TRACEBACK_LINES = 12
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class Setting:
    """What all cells of a run share."""

    results: Path
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()


def prepare_worker(setting: Setting) -> None:
    """Make this process ready for cells: one torch thread, plug-ins loaded, interrupts ignored.

    The parent process alone answers an interrupt: it stops the workers and writes down what they
    were doing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(os.getppid())
    limit_threads()
    importlib.import_module("robench.stages")  # now, and not on the clock of the first cell
    for plugin in setting.plugins:
        load_plugin(plugin)


def _die_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed without a word to anyone.

    Else the cell in flight would go on beside the run that is started next.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()


def limit_threads() -> None:
    """One thread for each worker: more of them than cores slow every worker down many times."""
    import torch

    torch.set_num_threads(1)


def run_cell(cell: Cell, setting: Setting) -> Record:
    """Run one cell and write its record. What goes wrong becomes the record's status.

    Raises:
        StoreError: the record cannot be written.
    """
    store = Store(setting.results)
    started = datetime.now(UTC)
    clock = time.perf_counter()
    outcome = _attempt(cell, setting, store)
    if outcome.checkpoint is not None:
        outcome.checkpoint.save(store.checkpoint_path(cell.id))
    record = Record(
        id=cell.id,
        cell=cell,
        status=outcome.status,
        reason=outcome.reason,
        traceback=outcome.traceback,
        metrics=outcome.metrics,
        details={key: as_json(item) for key, item in outcome.details.items()},
        arrays=tuple(sorted(outcome.arrays)),
        provenance=_provenance(started, time.perf_counter() - clock),
    )
    store.write(record, outcome.arrays)
    return record


def _attempt(cell: Cell, setting: Setting, store: Store) -> Outcome:
    """The outcome of the cell's stage; whatever it raises becomes one too."""
    from robench.stages.base import Outcome

    try:
        return _run_stage(cell, setting, store)
    except NotApplicableError as error:
        return Outcome(status="not-applicable", reason=str(error))
    except RobenchError as error:
        # The message says it all, unless somebody else's error lies beneath.
        tail = _traceback_tail() if error.__cause__ is not None else None
        return Outcome(status="failed", reason=str(error), traceback=tail)
    except Exception as error:  # noqa: BLE001 - whatever a plug-in raises is its row, not our end
        reason = f"{type(error).__name__}: {error}"
        return Outcome(status="failed", reason=reason, traceback=_traceback_tail())


def _run_stage(cell: Cell, setting: Setting, store: Store) -> Outcome:
    from robench.stages import STAGES

    check_code(cell)
    return STAGES[cell.stage](cell, context_of(cell, setting, store))


def context_of(cell: Cell, setting: Setting, store: Store) -> Context:
    """Everything that the stage of a cell may use; its data set is loaded when it asks for it."""
    import torch

    from robench.stages.base import Context

    return Context(
        load=partial(_data_of, cell, setting.data_root),
        device=torch.device(cell.device),
        parent=_reader(cell.parent, store),
        donor=_reader(cell.donor, store),
        data_root=setting.data_root,
    )


def _reader(cell_id: str | None, store: Store) -> Callable[[], Checkpoint] | None:
    """Reads the checkpoint of a train cell when it is asked for."""
    if cell_id is None:
        return None
    path = store.checkpoint_path(cell_id)

    def read() -> Checkpoint:
        from robench.training.checkpoint import Checkpoint

        return Checkpoint.load(path)

    return read


def _data_of(cell: Cell, root: Path | None) -> Data:
    """The data set of a cell, once it is sure that it is the one that was planned for."""
    data = _data(cell.data.location or cell.data.name, canonical_json(cell.data.params), root)
    if data.sha256 != cell.data_sha256:
        raise StoreError(
            f"the data set {cell.data.label} changed while the suite was running",
            hint="run the suite again: its cells will be new ones",
        )
    return data


@lru_cache(maxsize=4)
def _data(name: str, params: str, root: Path | None) -> Data:
    """A worker keeps the few data sets that its cells use."""
    from robench.data import load

    return load(name, json.loads(params), root=root)


def _provenance(started: datetime, wall_s: float) -> dict[str, JsonValue]:
    import resource

    import robench
    from robench.measure.machine import fingerprint

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return {
        "robench": robench.__version__,
        "commit": _commit(),
        "machine": fingerprint(),
        "started": started.isoformat(timespec="seconds"),
        "wall_s": round(wall_s, 4),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "process": os.getpid(),
    }


@lru_cache(maxsize=1)
def _commit() -> str | None:
    """The commit that robench runs from, marked where it was changed; `None` if it is installed."""
    checkout = Path(__file__).parents[2]
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    command = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    command.append("--exclude=*")  # no tag in place of the hash
    try:
        done = subprocess.run(  # noqa: S603 - nothing in the command comes from a user
            command, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _traceback_tail() -> str:
    return "\n".join(traceback.format_exc().strip().splitlines()[-_TRACEBACK_LINES:])

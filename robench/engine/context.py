"""What the stage of a cell may use: its data set, and the checkpoints that it hangs off."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from robench.errors import StoreError
from robench.spec import NO_DATA, Cell, canonical_json
from robench.store import Store

if TYPE_CHECKING:
    from robench.data.base import Data
    from robench.stages.base import Context
    from robench.training.checkpoint import Checkpoint

__all__ = ["Setting", "become_worker", "context_of", "is_worker", "load_data"]


class _Role:
    is_worker = False


def become_worker() -> None:
    """This process does cells for another one."""
    _Role.is_worker = True


def is_worker() -> bool:
    """Whether this process does cells for another one."""
    return _Role.is_worker


@dataclass(frozen=True)
class Setting:
    """What all cells of a run share.

    Attributes:
        results: the folder of the records.
        data_root: where data sets lie that are not embedded.
        plugins: files with plug-ins.
        stages: of the cells, which a worker makes itself ready for.
        limit_s: seconds that one cell may take.
        run_file: is there as long as the run and its folder are; `None` where nobody minds.
    """

    results: Path
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()
    stages: frozenset[str] = frozenset({"train"})
    limit_s: float | None = None
    run_file: Path | None = None


def context_of(
    cell: Cell, setting: Setting, store: Store, read: dict[str, str] | None = None
) -> Context:
    """Everything that the stage of a cell may use; its data set is loaded when it asks for it.

    Args:
        cell: whose stage it is.
        setting: of the run.
        store: where the checkpoints are.
        read: is given the hash of each checkpoint that the stage reads, by the id of its cell.
    """
    import torch

    from robench.stages.base import Context

    read = {} if read is None else read
    return Context(
        load=partial(_data_of, cell, setting.data_root),
        device=torch.device(cell.device),
        parent=_reader(cell.parent, store, read),
        donor=_reader(cell.donor, store, read),
        data_root=setting.data_root,
    )


def load_data(cell: Cell, setting: Setting) -> None:
    """Load the data set of a cell ahead of it, since no cell should pay for what many share."""
    if cell.data.name != NO_DATA:
        _data_of(cell, setting.data_root)


def _reader(
    cell_id: str | None, store: Store, read: dict[str, str]
) -> Callable[[], Checkpoint] | None:
    """Reads the checkpoint of a train cell when it is asked for."""
    if cell_id is None:
        return None

    def load() -> Checkpoint:
        checkpoint, read[cell_id] = store.checkpoint(cell_id)
        return checkpoint

    return load


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

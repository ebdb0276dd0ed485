"""Records, per-sample arrays and checkpoints on disk.

    RESULTS/cells/ab/abcdef0123456789.json                  the record
    RESULTS/cells/ab/abcdef0123456789.arrays.safetensors    per-sample arrays, where there are any
    RESULTS/cells/ab/abcdef0123456789.weights.safetensors   the checkpoint of a train cell

Each file is written under a temporary name, synced, and renamed, the record last: a record that
can be read is whole, and so is what lies beside it. The folder is the only truth; whatever index
is wanted can be built again from it. No pickle is ever read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from robench.errors import CheckpointError, NewerRecordError, StoreError, UnknownNameError
from robench.files import write_atomically
from robench.spec.record import Record
from robench.store.reading import parse_record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.training.checkpoint import Checkpoint

__all__ = ["Damage", "Store"]


@dataclass(frozen=True)
class Damage:
    """A record that could not be read."""

    path: Path
    problem: str

    @property
    def cell_id(self) -> str:
        """What the file's name says."""
        return self.path.stem


@dataclass
class Store:
    """A folder of results.

    Args:
        root: the folder; it need not exist before something is written.
    """

    root: Path
    damaged: list[Damage] = field(default_factory=list)
    """Damaged records that the last `records()` came upon."""
    newer: list[Damage] = field(default_factory=list)
    """Records of a newer version of robench, likewise."""

    # -- writing ------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Make the folder, and make sure that files can be written and renamed there.

        Raises:
            StoreError: they cannot; says why.
        """
        try:
            (self.root / "cells").mkdir(parents=True, exist_ok=True)
            write_atomically(self.root / "cells" / ".probe", b"")
            (self.root / "cells" / ".probe").unlink(missing_ok=True)  # two runs may start at once
        except OSError as error:
            raise StoreError(
                f"the results folder {str(self.root)!r} cannot be written: {error.strerror}",
                hint="choose another one with --results DIR",
            ) from error

    def write(
        self, record: Record, arrays: Mapping[str, NDArray[np.generic]] | None = None
    ) -> None:
        """Write a record and the arrays beside it, atomically, the record last.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        try:
            if arrays:
                from safetensors.numpy import save

                write_atomically(self.arrays_path(record.id), save(dict(arrays)))
            text = record.model_dump_json(indent=1)
            write_atomically(self.record_path(record.id), text.encode())
        except OSError as error:
            raise StoreError(
                f"the record {record.id} cannot be written: {error.strerror}",
                where=str(self.record_path(record.id)),
                hint="make room or mend the rights, and run the suite again: it goes on from here",
            ) from error

    # -- reading ------------------------------------------------------------------------------

    def read(self, cell_id: str) -> Record | None:
        """The record of a cell, or `None` where there is none.

        Raises:
            NewerRecordError: there is one, of a newer version of robench.
            StoreError: there is one, and it is damaged.
        """
        path = self.record_path(cell_id)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(
                f"the record {cell_id} is damaged: {error.strerror}", where=str(path)
            ) from error
        try:
            return parse_record(content, cell_id)
        except StoreError as error:
            error.where = str(path)
            raise

    def records(self) -> list[Record]:
        """All records that can be read, by id; the others are in `damaged` and `newer`."""
        self.damaged, self.newer = [], []
        found = []
        for path in sorted((self.root / "cells").glob("??/*.json")):
            try:
                record = self.read(path.stem)
            except NewerRecordError as error:
                self.newer.append(Damage(path, error.what))
            except StoreError as error:
                self.damaged.append(Damage(path, error.what))
            else:
                found += [record] if record is not None else []
        return found

    def arrays(
        self, cell_id: str, only: Collection[str] | None = None
    ) -> dict[str, NDArray[np.generic]]:
        """The per-sample arrays of a cell; empty where there are none.

        Args:
            cell_id: of its record.
            only: names of those to read; `None` reads all. What is not there is left out.

        Raises:
            StoreError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = self.arrays_path(cell_id)
        if not path.exists():
            return {}
        try:
            with safe_open(path, framework="numpy") as file:
                names = [name for name in file.keys() if only is None or name in only]  # noqa: SIM118
                return {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"the arrays of the record {cell_id} are damaged: {error}",
                where=str(path),
                hint=f"do the cell again with `robench run SUITE --force {cell_id}`",
            ) from error

    def checkpoint(self, cell_id: str) -> tuple[Checkpoint, str]:
        """The checkpoint of a train cell, and the hash of its content.

        Raises:
            CheckpointError: it is missing, damaged, or not the one that the record speaks of.
            StoreError: the record is damaged.
        """
        from robench.training.checkpoint import Checkpoint

        found = Checkpoint.load(self.checkpoint_path(cell_id))
        sha256 = found.sha256
        self._check_hash(cell_id, sha256)
        return found, sha256

    def check_checkpoint(self, cell_id: str, *, is_thorough: bool) -> None:
        """See whether a checkpoint can be used.

        Args:
            cell_id: of the train cell.
            is_thorough: read all of it; else what it says of itself, and its length, must do.

        Raises:
            CheckpointError: it cannot.
            StoreError: the record is damaged.
        """
        from robench.training.checkpoint import Checkpoint

        if is_thorough:
            self.checkpoint(cell_id)
        else:
            self._check_hash(cell_id, Checkpoint.hash_in(self.checkpoint_path(cell_id)))

    def _check_hash(self, cell_id: str, sha256: str) -> None:
        record = self.read(cell_id)
        expected = None if record is None else record.checkpoint_sha256
        if expected not in (None, sha256):  # old records do not say which it was
            raise CheckpointError(
                f"the checkpoint of {cell_id} is not the one that its record speaks of",
                where=str(self.checkpoint_path(cell_id)),
                hint="run the suite again: the network is trained anew where it is needed",
            )

    def find(self, prefix: str) -> Record:
        """The one record whose id begins with `prefix`.

        Raises:
            UnknownNameError: no record does.
            StoreError: several do.
        """
        ids = [path.stem for path in sorted((self.root / "cells").glob("??/*.json"))]
        matches = [cell_id for cell_id in ids if cell_id.startswith(prefix)]
        if not matches:
            raise UnknownNameError("cell", prefix, ids[:10], where=str(self.root))
        if len(matches) > 1:
            raise StoreError(f"{prefix!r} begins several cells", allowed=matches[:10])
        record = self.read(matches[0])
        if record is None:  # it was removed between the two looks
            raise UnknownNameError("cell", prefix, (), where=str(self.root))
        return record

    # -- mending ------------------------------------------------------------------------------

    def set_aside(self, damage: Damage) -> Path:
        """Rename a damaged record, so that its cell is done again and the evidence stays."""
        kept = damage.path.with_suffix(".json.damaged")
        damage.path.replace(kept)
        return kept

    def remove(self, cell_id: str) -> None:
        """Forget a cell: its record first, then what lies beside it."""
        for path in (
            self.record_path(cell_id),
            self.arrays_path(cell_id),
            self.checkpoint_path(cell_id),
        ):
            path.unlink(missing_ok=True)

    # -- where things lie ---------------------------------------------------------------------

    def record_path(self, cell_id: str) -> Path:
        """The JSON file of a cell's record."""
        return self._folder(cell_id) / f"{cell_id}.json"

    def arrays_path(self, cell_id: str) -> Path:
        """The safetensors file of a cell's per-sample arrays."""
        return self._folder(cell_id) / f"{cell_id}.arrays.safetensors"

    def checkpoint_path(self, cell_id: str) -> Path:
        """The safetensors file of a train cell's weights and masks."""
        return self._folder(cell_id) / f"{cell_id}.weights.safetensors"

    def _folder(self, cell_id: str) -> Path:
        return self.root / "cells" / cell_id[:2]

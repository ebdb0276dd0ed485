"""What of a suite is there already, what is left to do, and what has to be done again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from robench.engine.plan import matches
from robench.errors import CheckpointError, NewerRecordError
from robench.spec import Cell, Record
from robench.store import Store
from robench.store.leases import Leases

__all__ = ["Standing", "standing"]

Note = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """How far the cells of a run are.

    Attributes:
        done: records that count, by id.
        pending: cells that are to be done, in the order of the plan.
    """

    done: dict[str, Record]
    pending: list[Cell]


def standing(
    store: Store,
    cells: list[Cell],
    leases: Leases,
    note: Note,
    *,
    force: str | None = None,
    again: Collection[str] = (),
) -> Standing:
    """See what is there; remove what does not count, and set aside what is damaged.

    A record does not count if it is asked for anew, if its network is to be trained again, or if
    its network has other weights than those that it speaks of. An evaluation whose network's record
    is lost stays for now: the network is trained again, most likely to the same weights.

    Args:
        store: the results.
        cells: of the plan.
        leases: of this run.
        note: is told what a person should know.
        force: a pattern of cells that are done again although they are there.
        again: statuses of records that do not count.

    Raises:
        NewerRecordError: some of the cells have records of a newer version of robench.
    """
    existing = {record.id: record for record in store.records()}
    _see_to_damaged(store, cells, note)
    doubted = {other for cell in cells if _is_interrupted(existing, cell) for other in cell.needs}
    done: dict[str, Record] = {}
    redone: set[str] = set()
    for cell in cells:
        record = existing.get(cell.id)
        is_forced = force is not None and matches(cell, force)
        is_again = record is not None and (record.status in again or _is_stale(record, done))
        if is_forced or is_again or not redone.isdisjoint(cell.needs):
            redone.add(cell.id)
            if not leases.is_leased(cell.id):
                store.remove(cell.id)
        elif record is not None:
            done[cell.id] = _relabelled(store, record, cell)
    return Standing(done, _pending(store, cells, done, doubted, note))


def _relabelled(store: Store, record: Record, cell: Cell) -> Record:
    """The record with the labels of this suite: they are for people, and the newest ones hold."""
    if record.labels == cell.labels:
        return record
    store.write(record.labelled(cell))
    return record.labelled(cell)


def _is_interrupted(existing: dict[str, Record], cell: Cell) -> bool:
    record = existing.get(cell.id)
    return record is not None and record.status == "interrupted"


def _is_stale(record: Record, done: dict[str, Record]) -> bool:
    """Whether a network that the cell has read has other weights now."""
    return any(
        other in done and done[other].checkpoint_sha256 not in (None, sha256)
        for other, sha256 in record.inputs.items()
    )


def _see_to_damaged(store: Store, cells: list[Cell], note: Note) -> None:
    """Set damaged records of these cells aside; leave those of other suites, and newer ones."""
    own = {cell.id for cell in cells}
    newer = [one for one in store.newer if one.cell_id in own]
    if newer:
        raise NewerRecordError(
            f"{len(newer)} of the records that this suite needs were written by a newer robench; "
            f"the first: {newer[0].problem}",
            where=str(newer[0].path),
            hint="update robench, or choose another folder with --results DIR",
        )
    if store.newer:
        note(f"{len(store.newer)} records of a newer robench, of other suites, are left alone")
    for damage in store.damaged:
        if damage.cell_id in own:
            kept = store.set_aside(damage)
            note(f"a damaged record is set aside as {kept} ({damage.problem}); it is done again")
        else:
            note(f"a damaged record of another suite is left alone: {damage.path}")


def _pending(
    store: Store,
    cells: list[Cell],
    done: dict[str, Record],
    doubted: Collection[str],
    note: Note,
) -> list[Cell]:
    """What is left to do, and the networks it hangs off whose checkpoints cannot be used."""
    seen: set[str] = set()
    while True:
        pending = [cell for cell in cells if cell.id not in done]
        needed = {other for cell in pending for other in cell.needs} - seen
        if not needed:
            return pending
        seen |= needed
        for other in [cell.id for cell in cells if cell.id in needed & done.keys()]:
            if done[other].status != "ok":
                continue
            try:
                store.check_checkpoint(other, is_thorough=other in doubted)
            except CheckpointError as error:
                note(f"{done[other].cell.label} [{other}] is trained again: {error.what}")
                del done[other]
                store.remove(other)

"""Checking what a record of an attack claims, from what lies beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from robench.engine.context import Setting, context_of
from robench.engine.run import resolve_device
from robench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from robench.attacks.suite.verify import Claim
    from robench.spec import Record
    from robench.store import Store

__all__ = ["recheck_attack"]


def recheck_attack(
    store: Store, cell: str, *, data_root: Path | None = None, device: str | None = None
) -> Claim:
    """Run the network of an attack's record once over the adversarials that were stored.

    Args:
        store: the results.
        cell: id of the attack's cell, or how it begins.
        data_root: where data sets lie that are not embedded.
        device: ``cpu``, ``cuda`` or ``auto``; `None` is where the attack ran.

    Raises:
        UsageError: there is no such cell, or it is no attack that succeeded.
        StoreError: the adversarials or the weights are not there, or the data are others.
    """
    import torch

    from robench.attacks.suite.verify import verify_claim
    from robench.data.base import to_float
    from robench.stages.network import trained_network

    record = _attack(store, cell)
    found = store.arrays(record.id, ("index", "adversarial", "distance"))
    _check_files(store, record, found)
    context = context_of(record.cell, Setting(store.root, data_root), store)
    context = replace(context, device=torch.device(resolve_device(device or record.cell.device)))
    test = context.data.test.first(len(found["index"]))
    if not (test.index.numpy() == found["index"]).all():
        raise StoreError(
            f"the images of {record.id} are not those of the data set {record.cell.data.label}",
            where=str(store.arrays_path(record.id)),
        )
    arrays = {name: torch.from_numpy(found[name]) for name in ("adversarial", "distance")}
    return verify_claim(
        trained_network(record.cell, context),
        to_float(test.images.to(context.device)),
        test.labels.to(context.device),
        arrays["adversarial"].to(context.device),
        arrays["distance"].to(context.device),
    )


def _attack(store: Store, cell: str) -> Record:
    record = store.find(cell)
    if record.cell.stage != "attack" or record.status != "ok":
        attacks = [r for r in store.records() if r.cell.stage == "attack" and r.status == "ok"]
        raise UsageError(
            f"{record.id} is no attack that succeeded: {record.cell.label} ({record.status})",
            allowed=[f"{r.id} ({r.cell.label})" for r in attacks[:5]],
        )
    return record


def _check_files(store: Store, record: Record, found: object) -> None:
    """What was moved or cleared away since is named."""
    missing = None if found else store.arrays_path(record.id)
    if missing is None and record.cell.parent is not None:
        weights = store.checkpoint_path(record.cell.parent)
        missing = None if weights.exists() else weights
    if missing is not None:
        raise StoreError(
            f"the attack {record.id} cannot be checked without {missing.name}",
            where=str(missing.parent),
            hint="run its suite again: what is missing is made again",
        )

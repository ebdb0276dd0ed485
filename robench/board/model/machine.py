"""On which machine a record was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.spec import Record

__all__ = ["machine_name"]


def machine_name(record: Record) -> str:
    """The device with its processor, or with its GPU if the cell ran on one; empty if unknown."""
    machine = record.provenance.get("machine")
    facts: dict[str, Any] = machine if isinstance(machine, dict) else {}
    gpus = facts.get("gpus") or []
    on_gpu = record.cell.device == "cuda" and isinstance(gpus, list) and gpus
    name = gpus[0] if on_gpu else facts.get("cpu")
    return f"{record.cell.device} ({name})" if name else ""

"""A record: what came out of one cell, whether it went well or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import JsonValue, model_validator

from robench.spec.base import Frozen
from robench.spec.cell import Cell
from robench.stats.proportion import wilson_interval

__all__ = ["SCHEMA_VERSION", "Metric", "Record", "Status"]

SCHEMA_VERSION = 3
"""Of the records that this version writes. Raised with each field that is added or changed, with a
migration from the schema before (`robench.store.reading`)."""

Status = Literal["ok", "failed", "not-applicable", "over-budget", "interrupted", "noisy"]


class Metric(Frozen):
    """One number, with its uncertainty.

    Accuracies and levels are fractions; units stand in the name (``latency_ms``).
    """

    name: str
    value: float | None
    """`None` where the quantity does not exist, for instance a median that no attack reached."""
    n: int | None = None
    """How many images (or repeats) the value rests on."""
    low: float | None = None
    high: float | None = None
    """Bounds of the 95 % interval over those images or repeats."""
    condition: dict[str, str | float] = {}
    """What distinguishes it from others of that name: ``{"kind": "contrast", "level": 0.1}``."""

    @classmethod
    def share(cls, name: str, successes: int, n: int, **condition: str | float) -> Metric:
        """A proportion of `n` trials, with Wilson's 95 % interval."""
        low, high = wilson_interval(successes, n)
        value = successes / n if n else None
        return cls(name=name, value=value, n=n, low=low, high=high, condition=condition)


class Record(Frozen):
    """The result of one cell, as it lies on disk."""

    schema_version: int = SCHEMA_VERSION
    id: str
    cell: Cell
    status: Status
    reason: str | None = None
    """Why the status is not ``ok``."""
    traceback: str | None = None
    """The last lines of the traceback of a failure, for whoever mends the plug-in."""
    metrics: tuple[Metric, ...] = ()
    details: dict[str, JsonValue] = {}
    """What a person may want to know beyond the metrics: flags, layers, loss curve."""
    arrays: tuple[str, ...] = ()
    """Names of the per-sample arrays in the file beside this one."""
    checkpoint_sha256: str | None = None
    """Hash of the content of the checkpoint beside this one, where the cell trained a network."""
    inputs: dict[str, str] = {}
    """Hash of each checkpoint that the cell read, by the id of the train cell that wrote it."""
    provenance: dict[str, JsonValue] = {}
    """Host, versions, commit, times: recorded, never hashed."""
    labels: dict[str, str] = {}
    """What the suite that was run last calls data, model and method, for people alone."""

    @model_validator(mode="before")
    @classmethod
    def _labelled(cls, raw: Any) -> Any:
        """The labels lie beside the cell, whose fields are all hashed, and belong into it."""
        if not isinstance(raw, Mapping):
            return raw
        cell = raw.get("cell")
        if isinstance(cell, Cell):
            return {"labels": cell.labels, **raw}
        labels = raw.get("labels")
        if not isinstance(cell, Mapping) or not isinstance(labels, Mapping):
            return raw
        named = {
            kind: {**cell[kind], "own_label": label}
            for kind, label in labels.items()
            if isinstance(cell.get(kind), Mapping)
        }
        return {**raw, "cell": {**cell, **named}}

    def labelled(self, cell: Cell) -> Record:
        """The same record with the labels of another form of its cell."""
        return self.model_copy(update={"cell": cell, "labels": cell.labels})

    def metric(self, name: str, **condition: str | float) -> Metric | None:
        """The metric of that name and condition, if there is one."""
        for metric in self.metrics:
            if metric.name == name and metric.condition == condition:
                return metric
        return None

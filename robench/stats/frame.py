"""Records as one long table: a row for each metric, with the cell it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic_core import to_json

from robench.spec import Cell, Metric, PluginRef, Record, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLUMNS", "table", "training_label"]

COLUMNS = (
    "id", "parent", "stage", "role", "suite", "suite_version", "data", "model", "method", "level",
    "level_achieved", "training", "seed", "recipe", "options", "device", "status", "reason",
    "metric", "value", "n", "low", "high",
)  # fmt: skip
"""Columns that each table has; one more follows for each condition, such as ``batch_size``."""

_NUMBERS = ("level", "level_achieved", "value", "low", "high")
_COUNTS = ("suite_version", "seed", "n")
# How JSON carries the levels that are no finite number; see `robench.spec.json_number`.
_NOT_FINITE = {text: float(text) for text in ("inf", "-inf", "Infinity", "-Infinity")}


def table(records: Iterable[Record]) -> pd.DataFrame:
    """All metrics of some records, one row each, in the order of the records.

    A record without metrics, as failures are, has one row whose metric is missing. ``training``
    is what the network was trained on, ``none`` for clean images. ``level_achieved`` is that of
    the trained network, for the evaluations too. ``recipe`` and ``options`` are hashes: numbers
    are comparable where they agree. Two plug-ins of the same label, for instance two versions of
    one method, get different names here.

    Args:
        records: of any suites and stages.
    """
    records = list(records)
    names = _Names(records)
    achieved = {record.id: _level_achieved(record) for record in records}
    rows = [
        {**cell, **_metric_columns(metric)}
        for record in records
        for cell in [_cell_columns(record, names, achieved)]
        for metric in record.metrics or (None,)
    ]
    conditions = sorted({key for row in rows for key in row} - set(COLUMNS))
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *conditions])
    return frame.astype(dict.fromkeys(_NUMBERS, "float64") | dict.fromkeys(_COUNTS, "Int64"))


def training_label(cell: Cell) -> str:
    """What the network of a cell was trained on: ``none`` or the label of the distortion."""
    distortion = cell.recipe.distortion
    return distortion.label if distortion is not None else "none"


class _Names:
    """A name for each plug-in of some records: its label, told apart where two share it."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._names = {
            kind: _unique_names(
                {_identity(record.cell, kind): getattr(record.cell, kind) for record in records}
            )
            for kind in ("data", "model", "method")
        }

    def of(self, cell: Cell, kind: str) -> str:
        return self._names[kind][_identity(cell, kind)]


def _identity(cell: Cell, kind: str) -> str:
    plugin: PluginRef = getattr(cell, kind)
    content = cell.data_sha256 if kind == "data" else ""
    return _hash([plugin, content])


def _hash(value: object) -> str:
    return _hash_of_json(to_json(value, inf_nan_mode="strings"))


@lru_cache(maxsize=1024)
def _hash_of_json(text: bytes) -> str:
    # Thousands of cells share a handful of recipes and plug-ins.
    return digest(json.loads(text), length=8)


def _unique_names(plugins: Mapping[str, PluginRef]) -> dict[str, str]:
    """The shortest of label, label and version, label and hash that only one plug-in has."""
    forms = {
        key: (plugin.label, f"{plugin.label} (version {plugin.version})", f"{plugin.label} ({key})")
        for key, plugin in plugins.items()
    }
    names: dict[str, str] = {}
    for place in range(3):
        offered = {key: forms[key][place] for key in plugins if key not in names}
        taken = [*names.values(), *offered.values()]
        names |= {key: name for key, name in offered.items() if taken.count(name) == 1}
    return names


def _cell_columns(
    record: Record, names: _Names, achieved: Mapping[str, float | None]
) -> dict[str, Any]:
    cell = record.cell
    recipe = cell.recipe.model_copy(update={"distortion": None})
    return {
        "id": record.id,
        "parent": cell.parent,
        "stage": cell.stage,
        "role": cell.role,
        "suite": cell.suite,
        "suite_version": cell.suite_version,
        "data": names.of(cell, "data"),
        "model": names.of(cell, "model"),
        "method": names.of(cell, "method"),
        "level": cell.level,
        "level_achieved": achieved.get(record.id if cell.stage == "train" else cell.parent or ""),
        "training": training_label(cell),
        "seed": cell.seed,
        "recipe": _hash(recipe),
        "options": _hash(cell.options),
        "device": cell.device,
        "status": record.status,
        "reason": record.reason,
    }


def _metric_columns(metric: Metric | None) -> dict[str, Any]:
    if metric is None:
        return {}
    conditions = {
        f"condition_{key}" if key in COLUMNS else key: _NOT_FINITE.get(str(value), value)
        for key, value in metric.condition.items()
    }
    own = {name: getattr(metric, name) for name in ("value", "n", "low", "high")}
    return {"metric": metric.name, **own, **conditions}


def _level_achieved(record: Record) -> float | None:
    metric = record.metric("level_achieved")
    return metric.value if metric is not None else None

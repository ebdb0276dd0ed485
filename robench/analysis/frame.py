"""Records as one long table: a row for each metric, with the cell it belongs to.

What a plug-in *is* stands in columns of its own: its name, version and parameters. The columns
``data``, ``model``, ``method`` and ``training`` are labels for people: printable, and each unique
to what it stands for. Nothing in robench reads a label to learn what it means.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pandas as pd
from pydantic_core import to_json

from robench.escape import for_terminal
from robench.spec import (
    Cell,
    Distortion,
    Metric,
    PluginRef,
    Record,
    canonical_json,
    digest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CLEAN_TRAINING",
    "COLUMNS",
    "label_forms",
    "params_json",
    "preferred_label",
    "table",
    "trainings",
    "unique_names",
]

COLUMNS = (
    "id", "parent", "stage", "role", "suite", "suite_version",
    "data", "data_name", "data_version", "data_params",
    "model", "model_name", "model_version", "model_params",
    "method", "method_name", "method_version", "method_params",
    "code", "is_dense", "is_given", "is_control",
    "level", "level_achieved", "training", "seed", "recipe", "options", "device",
    "status", "reason", "metric", "value", "n", "low", "high",
)  # fmt: skip
"""Columns that each table has; one more follows for each condition, such as ``batch_size``."""

CLEAN_TRAINING = "none"
"""In the column ``training``: the network was trained on images as they are."""

Kind = Literal["data", "model", "method"]
_KINDS: tuple[Kind, ...] = ("data", "model", "method")
_NUMBERS = ("level", "level_achieved", "value", "low", "high")
_COUNTS = ("suite_version", "data_version", "model_version", "method_version", "seed", "n")
_FACTS = ("is_dense", "is_given", "is_control")
# How JSON carries the levels that are no finite number; see `robench.spec.json_number`.
_NOT_FINITE = {text: float(text) for text in ("inf", "-inf", "Infinity", "-Infinity")}
_HASH_LENGTH = 8
_LONG_LABEL = 40
"""Characters from which on a label is cut to the name of its plug-in, where that is unique."""
_Key = TypeVar("_Key", bound=Hashable)


def table(records: Iterable[Record]) -> pd.DataFrame:
    """All metrics of some records, one row each, in the order of the records.

    A record without metrics, as failures are, has one row whose metric is missing.

    ``data``, ``model`` and ``method`` are labels for people; what a plug-in is stand in
    ``method_name``, ``method_version`` and ``method_params`` (canonical JSON, defaults included),
    and likewise for data and model. ``is_dense`` marks the control that nothing was removed from,
    ``is_given`` a network that robench did not train, ``is_control`` the methods of every suite
    (`robench.spec.CONTROLS`). ``code`` tells apart records of one plug-in file before and after an
    edit: it is empty where data, model and method are robench's own. Two plug-ins of one label, for
    instance two versions of one method, get different labels here.

    ``training`` is what the network was trained on, ``none`` for clean images. ``level_achieved``
    is that of the trained network, for the evaluations too. ``recipe`` and ``options`` are hashes:
    numbers are comparable where they agree.

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
    return frame.astype(
        dict.fromkeys(_NUMBERS, "float64")
        | dict.fromkeys(_COUNTS, "Int64")
        | dict.fromkeys(_FACTS, "bool")
    )


def trainings(records: Iterable[Record]) -> dict[str, Distortion | None]:
    """What stands behind each name in the column ``training`` of the table of these records."""
    found = {}
    for record in records:
        found[_training_key(record.cell)] = record.cell
    names = _training_names(found)
    return {names[key]: cell.recipe.distortion for key, cell in found.items()}


def params_json(params: Mapping[str, object]) -> str:
    """All parameters of a plug-in as canonical JSON: equal where the parameters are."""
    return _canonical(to_json(params, inf_nan_mode="strings"))


def unique_names(
    forms: Mapping[_Key, Sequence[str]], reserved: Collection[str] = ()
) -> dict[_Key, str]:
    """For each key the first of its forms that no other key has.

    Args:
        forms: key → names from short to long, as many for each; the last has a hash of the key.
        reserved: names that no key may have.
    """
    names: dict[_Key, str] = {}
    for place in range(max(map(len, forms.values()), default=0)):
        offered = {key: of[place] for key, of in forms.items() if key not in names}
        taken = Counter([*names.values(), *offered.values(), *reserved])
        names |= {key: name for key, name in offered.items() if taken[name] == 1}
    # Someone chose a name that looks like another's last form.
    for key in [key for key in forms if key not in names]:
        name = forms[key][-1]
        while name in names.values() or name in reserved:
            name += "'"
        names[key] = name
    return names


class _Names:
    """A label for each plug-in and training of some records, told apart where two share it."""

    def __init__(self, records: Sequence[Record]) -> None:
        found: dict[Kind, dict[str, PluginRef]] = {kind: {} for kind in _KINDS}
        cells: dict[str, Cell] = {}
        for record in records:
            cells[_training_key(record.cell)] = record.cell
            for kind in _KINDS:
                plugin: PluginRef = getattr(record.cell, kind)
                key = _identity(record.cell, kind)
                known = found[kind].get(key, plugin)
                found[kind][key] = preferred_label([known, plugin])
        self._plugins = {kind: _plugin_names(found[kind]) for kind in _KINDS}
        self._trainings = _training_names(cells)

    def of(self, cell: Cell, kind: Kind) -> str:
        return self._plugins[kind][_identity(cell, kind)]

    def of_training(self, cell: Cell) -> str:
        return self._trainings[_training_key(cell)]


def _identity(cell: Cell, kind: Kind) -> str:
    plugin: PluginRef = getattr(cell, kind)
    content = cell.data_sha256 if kind == "data" else ""
    return _hash([plugin.name, plugin.version, plugin.params, content])


def _plugin_names(plugins: Mapping[str, PluginRef]) -> dict[str, str]:
    """The shortest of label, label and version, label and hash that only one plug-in has."""
    return unique_names(
        {
            key: (
                *label_forms(plugins[key]),
                f"{for_terminal(plugins[key].label)} (version {plugins[key].version})",
                f"{for_terminal(plugins[key].label)} ({key})",
            )
            for key in sorted(plugins)
        }
    )


def preferred_label(refs: Iterable[PluginRef]) -> PluginRef:
    """Of several forms of one plug-in that whose label is shown.

    A label that a suite gave goes before others. Of these the shortest is taken: one suite may set
    what another leaves at the same default.
    """
    return min(refs, key=lambda ref: (ref.own_label is None, len(ref.label), ref.label))


def label_forms(ref: PluginRef) -> tuple[str, str]:
    """The label of a plug-in, and before it the name alone where the label is long.

    Parameters are columns of the table: they need not stand in a label that is told apart without.
    """
    label = for_terminal(ref.label)
    is_long = ref.own_label is None and len(label) > _LONG_LABEL
    return (for_terminal(ref.name) if is_long else label), label


def _training_key(cell: Cell) -> str:
    distortion = cell.recipe.distortion
    return "" if distortion is None else _hash(distortion)


def _training_names(cells: Mapping[str, Cell]) -> dict[str, str]:
    """Labels round their numbers, so that two distortions may share one."""
    distortions = {key: cells[key].recipe.distortion for key in sorted(cells)}
    labels = {key: for_terminal(own.label) for key, own in distortions.items() if own is not None}
    forms = {key: (label, f"{label} ({key})") for key, label in labels.items()}
    return unique_names(forms, reserved=[CLEAN_TRAINING]) | {"": CLEAN_TRAINING}


def _hash(value: object) -> str:
    return _hash_of_json(to_json(value, inf_nan_mode="strings"))


@lru_cache(maxsize=1024)
def _hash_of_json(text: bytes) -> str:
    # Thousands of cells share a handful of recipes and plug-ins.
    return digest(json.loads(text), length=_HASH_LENGTH)


@lru_cache(maxsize=1024)
def _canonical(text: bytes) -> str:
    return canonical_json(json.loads(text))


def _cell_columns(
    record: Record, names: _Names, achieved: Mapping[str, float | None]
) -> dict[str, Any]:
    cell = record.cell
    recipe = cell.recipe.model_copy(update={"distortion": None})
    plugins: dict[str, Any] = {}
    for kind in _KINDS:
        plugin: PluginRef = getattr(cell, kind)
        plugins |= {
            kind: names.of(cell, kind),
            f"{kind}_name": plugin.name,
            f"{kind}_version": plugin.version,
            f"{kind}_params": params_json(plugin.params),
        }
    return {
        "id": record.id,
        "parent": cell.parent,
        "stage": cell.stage,
        "role": cell.role,
        "suite": cell.suite,
        "suite_version": cell.suite_version,
        **plugins,
        "code": _code(cell),
        "is_dense": cell.method.is_dense,
        "is_given": cell.method.is_given,
        "is_control": cell.method.is_control,
        "level": cell.level,
        "level_achieved": achieved.get(record.id if cell.stage == "train" else cell.parent or ""),
        "training": names.of_training(cell),
        "seed": cell.seed,
        "recipe": _hash(recipe),
        "options": _hash(cell.options),
        "device": cell.device,
        "status": record.status,
        "reason": record.reason,
    }


def _code(cell: Cell) -> str:
    """The code of the cell's plug-ins, where it is not robench's own, in a few letters."""
    codes = [plugin.code for plugin in (cell.data, cell.model, cell.method)]
    return digest(codes, length=_HASH_LENGTH) if any(codes) else ""


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

"""What a stage keeps to, on a tiny network of each kind of data that it applies to."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.rules.common import documented, globals_kept, imports_cleanly
from robench.data import load
from robench.engine.plan import plan
from robench.errors import SuiteError
from robench.spec import Cell, Evaluations, Suite, as_json
from robench.stages import stage
from robench.stages.base import Context

if TYPE_CHECKING:
    from robench.conformance.subject import PluginSubject
    from robench.spec import Metric
    from robench.stages.base import Outcome
    from robench.training.checkpoint import Checkpoint

__all__ = ["RULES"]

_DATA = ("digits", "breast-cancer", "friedman1")
"""Images of classes, a table of classes, and a table with a number to predict."""
_SHOWN = ("ok", "noisy")


@rule("let run() give an Outcome; raise NotApplicableError where there is nothing to measure")
def runs(subject: PluginSubject) -> str:
    """It runs with its defaults on a tiny network, and gives metrics."""
    found = []
    for data, cell in _cells(subject).items():
        outcome = _outcome(subject, cell)
        if outcome.status not in _SHOWN:
            raise BrokenError(f"on {data} it is {outcome.status}: {outcome.reason}", _line(subject))
        if not outcome.metrics:
            raise BrokenError(f"on {data} it gives no metric", _line(subject))
        found.append(f"{len(outcome.metrics)} metrics on {data}")
    return ", ".join(found)


@rule("declare each metric that the board is to show, and give it wherever the stage applies")
def metrics_as_declared(subject: PluginSubject) -> str:
    """Every declared metric is there, and no value lies beyond its bounds."""
    declared = {info.name: info for info in subject.value.metrics}
    if not declared:
        raise SkippedError("it declares no metrics, so that the board has no column for it")
    for data, cell in _cells(subject).items():
        outcome = _outcome(subject, cell)
        missing = declared.keys() - {metric.name for metric in outcome.metrics}
        if missing and outcome.status == "ok":
            raise BrokenError(f"on {data} there is no {min(missing)!r}", _line(subject))
        for metric in outcome.metrics:
            bounds = declared[metric.name].bounds if metric.name in declared else None
            if bounds and metric.value is not None and not bounds[0] <= metric.value <= bounds[1]:
                raise BrokenError(
                    f"on {data} {metric.name!r} is {metric.value:g}, outside of its bounds "
                    f"{bounds[0]:g} to {bounds[1]:g}",
                    _line(subject),
                )
    return ", ".join(declared)


@rule("give metrics of one name different conditions")
def metrics_are_told_apart(subject: PluginSubject) -> str:
    """No metric is given twice under one condition."""
    most = 0
    for data, cell in _cells(subject).items():
        seen: set[tuple[str, str]] = set()
        for metric in _outcome(subject, cell).metrics:
            key = (metric.name, repr(sorted(metric.condition.items())))
            if key in seen:
                raise BrokenError(f"on {data} {metric.name!r} is there twice", _line(subject))
            seen.add(key)
        most = max(most, len(seen))
    return f"{most} metrics"


@rule("put plain data into `details`: numbers, text, lists and mappings, as `Details` says")
def details_in_order(subject: PluginSubject) -> str:
    """The details are plain data, and those that it declares."""
    for cell in _cells(subject).values():
        outcome = stage(subject.name).checked(_outcome(subject, cell))
        for key, value in outcome.details.items():
            try:
                as_json(value)
            except TypeError as error:
                raise BrokenError(f"details[{key!r}]: {error}", _line(subject)) from None
    return "typed" if subject.value.Details is not None else "open"


@rule("give numpy arrays of numbers or truth values; what has names belongs into `details`")
def arrays_in_order(subject: PluginSubject) -> str:
    """What lies beside the record are numpy arrays of numbers, of more than no values."""
    names: set[str] = set()
    for data, cell in _cells(subject).items():
        for name, array in _outcome(subject, cell).arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
                told = getattr(array, "dtype", type(array).__name__)
                raise BrokenError(f"on {data} the array {name!r} is {told}", _line(subject))
            if not array.size:
                raise BrokenError(f"on {data} the array {name!r} is empty", _line(subject))
            names.add(name)
    return ", ".join(sorted(names)) or "there are none"


@rule("draw from a generator seeded by `cell.seed_for('evaluate')`")
def deterministic(subject: PluginSubject) -> str:
    """Run twice on one network, it gives the same metrics."""
    if subject.value.is_timed:
        raise SkippedError("it takes time")
    for data, cell in _cells(subject).items():
        first = _outcome(subject, cell)
        again = stage(subject.name).run(cell, _context(cell))
        if _values(first.metrics) != _values(again.metrics):
            raise BrokenError(f"on {data} two runs differ", _line(subject))
    return "two runs, the same metrics"


@rule("put back what run() changes: generators, default type, threads and grad mode")
def restores_globals(subject: PluginSubject) -> str:
    """A run leaves the global state of the process as it was."""
    cell = next(iter(_cells(subject).values()))
    context = _context(cell)
    _ = context.parent and context.parent()
    with globals_kept(subject, "run"):
        stage(subject.name).run(cell, context)
    return "generators, default type, threads and grad mode"


RULES = (
    runs,
    imports_cleanly,
    documented,
    metrics_as_declared,
    metrics_are_told_apart,
    details_in_order,
    arrays_in_order,
    deterministic,
    restores_globals,
)


def _line(subject: PluginSubject) -> str | None:
    return subject.line_of("run")


def _values(metrics: tuple[Metric, ...]) -> list[str]:
    return [metric.model_dump_json() for metric in metrics]


def _cells(subject: PluginSubject) -> dict[str, Cell]:
    """A cell of the stage for each kind of data that it applies to."""
    if not subject.value.is_evaluation:
        raise SkippedError("no suite asks for it under `evaluate`")
    found = {}
    for data in _DATA:
        try:
            cells = plan(_suite(data, subject.name))
        except SuiteError:  # it does not apply
            continue
        found[data] = next(c for c in cells if c.stage == subject.name and c.method.is_dense)
    if not found:
        raise SkippedError(f"it applies to none of {', '.join(_DATA)}")
    return found


def _suite(data: str, name: str) -> Suite:
    return Suite.model_validate(
        {
            "name": "check",
            "version": 1,
            "grids": [
                {
                    "data": data,
                    "models": {"name": "mlp", "widths": [8]},
                    "methods": "dense",
                    "levels": 0.5,
                    "seeds": [0],
                    "recipe": {"dense_steps": 0, "sparse_steps": 20},
                    "evaluate": Evaluations.model_validate([name]),
                }
            ],
        }
    )


def _outcome(subject: PluginSubject, cell: Cell) -> Outcome:
    """Of one run, which the rules share."""
    kept: dict[str, Outcome] = vars(subject).setdefault("_outcomes", {})
    if cell.id not in kept:
        kept[cell.id] = stage(subject.name).run(cell, _context(cell))
    return kept[cell.id]


def _context(cell: Cell) -> Context:
    import torch

    return Context(
        load=lambda: load(cell.data.name, cell.data.params),
        device=torch.device("cpu"),
        parent=lambda: _trained(cell.data.name),
    )


@cache
def _trained(data: str) -> Checkpoint:
    """The dense network that the stages of one data set look at."""
    import torch

    (cell,) = [
        cell
        for cell in plan(_suite(data, "speed"))
        if cell.stage == "train" and cell.method.is_dense
    ]
    context = Context(
        load=lambda: load(cell.data.name, cell.data.params), device=torch.device("cpu")
    )
    checkpoint = stage("train").run(cell, context).checkpoint
    if checkpoint is None:
        raise BrokenError("the network of the kit cannot be trained")
    return checkpoint

"""Made-up records of the suite ``methods``, for which the claims hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from robench.claims import claim
from robench.claims.base import Evidence
from robench.spec import Cell, Metric, PluginRef, Recipe, Record

SEEDS = range(3)


def ref(name: str, **params: Any) -> PluginRef:
    return PluginRef(name=name, version=1, params=params, changed=tuple(params))


def record(
    model: PluginRef,
    method: PluginRef,
    level: float,
    seed: int,
    *,
    stage: str = "train",
    details: dict[str, Any] | None = None,
    **metrics: float,
) -> Record:
    cell = Cell(
        stage=stage,
        suite="methods",
        suite_version=1,
        data=ref("mnist"),
        data_sha256="0",
        model=model,
        method=method,
        level=level,
        seed=seed,
        recipe=Recipe(),
    )
    # Seeds differ, so that there is an interval.
    named = tuple(Metric(name=name, value=value + seed * 1e-6) for name, value in metrics.items())
    return Record(id=cell.id, cell=cell, status="ok", metrics=named, details=details or {})


def ssl(left: float = 0.3, accuracy: float = 0.98) -> Iterator[Record]:
    model, method = ref("mlp"), ref("ssl", lambda_g=0.1)
    for seed in SEEDS:
        yield record(model, ref("dense"), 0.0, seed, accuracy=0.98)
        yield record(model, method, 0.75, seed, accuracy=accuracy)
        macs = {"macs_dense": 100.0, "macs_compacted": 100 * left}
        yield record(model, method, 0.75, seed, stage="speed", **macs)


def halo(at_98: float = 0.98, at_99: float = 0.97) -> Iterator[Record]:
    model = ref("lenet-300-100")
    for seed in SEEDS:
        yield record(model, ref("halo", xi=1.0), 0.98, seed, accuracy=at_98)
        yield record(model, ref("halo", xi=1.0), 0.99, seed, accuracy=at_99)
        for update, accuracy in (("step", 0.9), ("prox", 0.96)):
            l1 = ref("l1", update=update)
            yield record(model, l1, 0.99, seed, accuracy=accuracy, accuracy_validation=accuracy)


def rln(edges: int = 999, error: float = 0.2) -> Iterator[Record]:
    model = ref("geometric-mlp")
    layer = {"zeros": edges, "weights": 1000, "zero_inputs": 900, "inputs": 1005}
    details = {"sparsity": {"layers": [layer]}}
    for seed in SEEDS:
        yield record(model, ref("dense"), 0.0, seed, mse=1.0)
        yield record(model, ref("rln", theta=-1.0), 0.985, seed, mse=error, details=details)


def noiseout(gain: float = 0.3, accuracy: float = 0.975) -> Iterator[Record]:
    model = ref("mlp", activation="tanh", widths=[3])
    noisy, silent = ref("noiseout"), ref("noiseout", noise="none")
    for seed in SEEDS:
        yield record(model, ref("dense"), 0.0, seed, accuracy=0.98)
        for method, correlation in ((noisy, 0.5 + gain), (silent, 0.5)):
            notes = {"method": {"correlation_before_merging": {"1": 0.0, "2": correlation}}}
            figures = {"accuracy": accuracy, "params_removed": 0.85}
            yield record(model, method, 0.82, seed, details=notes, **figures)


MAKERS: dict[str, Callable[..., Iterator[Record]]] = {
    "ssl": ssl,
    "halo": halo,
    "rln": rln,
    "noiseout": noiseout,
}


@pytest.fixture
def made() -> Callable[..., list[Record]]:
    """``made("ssl", left=0.5)``: records for a claim, changed in this."""
    return lambda name, **changes: list(MAKERS[name](**changes))


@pytest.fixture
def verdicts() -> Callable[..., list[str]]:
    """``verdicts("ssl", records)``: of each figure of a claim, in order."""

    def of(name: str, records: Sequence[Record]) -> list[str]:
        return [
            statement.verdict
            for _, statements in claim(name).judge(Evidence(records, lambda *_: {}))
            for statement in statements
        ]

    return of

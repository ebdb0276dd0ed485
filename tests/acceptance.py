"""What the papers' methods must show on real data: runs `suites/methods.yaml`, then judges it.

    ROBENCH_DATA=~/data python -m tests.acceptance [RESULTS]

Only the cells that are judged are run, not the controls; what is in RESULTS already is not done
again. Hyper-parameters were chosen on the validation splits. Every gate is judged for each seed and
for the mean over seeds.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import robench
from robench.spec import Record

JUDGED = (
    "mnist/mlp ssl",
    "mnist/mlp dense",
    "lenet-300-100 halo",
    "lenet-300-100 l1",
    "friedman1*rln",
    "friedman1*dense",
    "activation=tanh*noiseout",
    "activation=tanh*dense",
)
"""Patterns of cells."""


@dataclass(frozen=True)
class Gate:
    """One figure, and what is asked of it.

    Attributes:
        name: what is judged.
        asked: in words.
        values: one a seed.
        holds: whether a value will do.
    """

    name: str
    asked: str
    values: Sequence[float]
    holds: Callable[[float], bool]

    def line(self) -> str:
        mean = statistics.fmean(self.values)
        shown = " ".join(f"{value:.4f}" for value in self.values)
        verdict = "holds" if self.holds(mean) else "FAILS"
        seeds = sum(map(self.holds, self.values))
        count = f"{seeds} of {len(self.values)} seeds"
        return f"{self.name:<52} {self.asked:<18} {mean:9.4f}  {verdict} ({count}: {shown})"


class Table:
    """The records of the suite, by what they are about."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = [record for record in records if record.cell.role == "result"]

    def of(self, model: str, method: str, level: float, stage: str = "train") -> list[Record]:
        """One record a seed, in order of the seeds."""
        found = [
            record
            for record in self._records
            if (record.cell.stage, record.cell.level) == (stage, level)
            and _is(record, model)
            and record.cell.method.label == method
        ]
        for record in found:
            if record.status not in ("ok", "noisy"):
                raise SystemExit(f"{record.cell.label} is {record.status}: {record.reason}")
        return sorted(found, key=lambda record: record.cell.seed)

    def values(self, metric: str, *place: object, **more: str) -> list[float]:
        return [value(record, metric) for record in self.of(*place, **more)]  # type: ignore[arg-type]

    def methods(self, model: str, name: str) -> list[str]:
        """The labels under which a method stands in the grid of a model."""
        return sorted(
            {
                record.cell.method.label
                for record in self._records
                if record.cell.method.name == name and _is(record, model)
            }
        )


def _is(record: Record, model: str) -> bool:
    """Whether the record is of this model: its label, or how it begins where a bracket is open."""
    label = record.cell.model.label
    return label.startswith(model) if "[" in model else label == model


def value(record: Record, metric: str) -> float:
    found = record.metric(metric)
    if found is None or found.value is None:
        raise SystemExit(f"{record.cell.label} has no {metric!r}")
    return found.value


def main() -> None:
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "results/methods")
    records = {
        record.id: record
        for pattern in JUDGED
        for record in robench.run("methods", results=results, only=pattern).records
    }
    table = Table(list(records.values()))
    for gates in (ssl(table), halo(table), rln(table), noiseout(table)):
        for gate in gates:
            sys.stdout.write(f"{gate.line()}\n")


def ssl(table: Table) -> Iterator[Gate]:
    """Wen et al. 2016: fewer operations at the error of the dense network."""
    model, level = "mlp", 0.75
    (method,) = table.methods(model, "ssl")
    dense = table.values("accuracy", model, "dense", 0.0)
    sparse = table.values("accuracy", model, method, level)
    speed = table.of(model, method, level, stage="speed")
    shares = [value(record, "macs_compacted") / value(record, "macs_dense") for record in speed]
    losses = [100 * (one - other) for one, other in zip(dense, sparse, strict=True)]
    yield Gate("SSL: operations left, of dense", "<= 0.40", shares, lambda share: share <= 0.4)
    yield Gate("SSL: points of accuracy lost", "<= 0.3", losses, lambda loss: loss <= 0.3)


def halo(table: Table) -> Iterator[Gate]:
    """Seto et al. 2021: nearly all weights gone, without fine-tuning."""
    model = "lenet-300-100"
    (method,) = table.methods(model, "halo")
    best = max(
        table.methods(model, "l1"),
        key=lambda label: statistics.fmean(table.values("accuracy_validation", model, label, 0.99)),
    )
    at_98 = [100 * share for share in table.values("accuracy", model, method, 0.98)]
    ahead = [
        100 * (one - other)
        for one, other in zip(
            table.values("accuracy", model, method, 0.99),
            table.values("accuracy", model, best, 0.99),
            strict=True,
        )
    ]
    yield Gate("HALO: accuracy at 98 %", ">= 97.3", at_98, lambda share: share >= 97.3)
    yield Gate(f"HALO: points ahead of {best} at 99 %", "> 0", ahead, lambda gap: gap > 0)


def rln(table: Table) -> Iterator[Gate]:
    """Shavitt and Segal 2018: a table of which most features are noise."""
    model, level, informative = "geometric-mlp", 0.985, 5
    (method,) = table.methods(model, "rln")
    records = table.of(model, method, level)
    first = [record.details["sparsity"]["layers"][0] for record in records]
    edges = [layer["zeros"] / layer["weights"] for layer in first]
    # At worst all the features that tell are among the dead ones.
    dead = [
        (layer["zero_inputs"] - informative) / (layer["inputs"] - informative) for layer in first
    ]
    plain = table.values("mse", model, "dense", 0.0)
    ratios = [value(record, "mse") / other for record, other in zip(records, plain, strict=True)]
    yield Gate("RLN: first-layer edges gone", ">= 0.998", edges, lambda share: share >= 0.9979)
    yield Gate("RLN: squared error, of dense", "< 0.35", ratios, lambda ratio: ratio < 0.35)
    yield Gate("RLN: noise features dead", ">= 0.75", dead, lambda share: share >= 0.75)


def noiseout(table: Table) -> Iterator[Gate]:
    """Babaeizadeh et al. 2016: noise outputs make neurons alike, and alike neurons merge."""
    model, level = "mlp[activation=tanh", 0.82
    noisy, silent = table.methods(model, "noiseout")
    alike = [
        with_heads - without
        for with_heads, without in zip(
            _correlation(table.of(model, noisy, level)),
            _correlation(table.of(model, silent, level)),
            strict=True,
        )
    ]
    dense = table.values("accuracy", model, "dense", 0.0)
    merged = table.values("accuracy", model, noisy, level)
    removed = table.values("params_removed", model, noisy, level)
    losses = [100 * (one - other) for one, other in zip(dense, merged, strict=True)]
    yield Gate("NoiseOut: correlation gained by noise", ">= 0.1", alike, lambda gain: gain >= 0.1)
    yield Gate("NoiseOut: parameters removed", ">= 0.80", removed, lambda share: share >= 0.8)
    yield Gate("NoiseOut: points of accuracy lost", "<= 1.2", losses, lambda loss: loss <= 1.2)


def _correlation(records: Sequence[Record]) -> list[float]:
    """Mean largest correlation of a unit of the last hidden layer with another, before merging."""
    notes = [record.details["method"]["correlation_before_merging"] for record in records]
    return [list(layers.values())[-1] for layers in notes]


if __name__ == "__main__":
    main()

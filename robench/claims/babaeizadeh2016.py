"""NoiseOut: noise outputs make units alike, and alike units merge (Babaeizadeh et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robench.claims.base import Claim, Statement
from robench.claims.networks import MissingError, differences, judge_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robench.claims.networks import Networks
    from robench.spec import Record

__all__ = ["CLAIM"]


def _figures(networks: Networks) -> Iterator[Statement]:
    model, level = "mlp[activation=tanh", 0.82
    noisy, silent = networks.methods(model, "noiseout", 2)
    gained = differences(
        *(list(map(_correlation, networks.of(model, label, level))) for label in (noisy, silent))
    )
    lost = differences(
        networks.values("accuracy", model, "dense", 0.0),
        networks.values("accuracy", model, noisy, level),
    )
    removed = networks.values("params_removed", model, noisy, level)
    yield Statement("correlation gained by noise outputs", gained, least=0.1)
    yield Statement("share of the parameters removed", removed, least=0.8)
    yield Statement("accuracy lost", lost, most=0.012)


def _correlation(record: Record) -> float:
    """Mean largest correlation of a unit of the last hidden layer with another, before merging."""
    notes: Any = record.details.get("method")
    if not isinstance(notes, dict) or "correlation_before_merging" not in notes:
        raise MissingError(f"{record.cell.label} has no correlations")
    layers: dict[str, float] = notes["correlation_before_merging"]
    return list(layers.values())[-1]


CLAIM = Claim(
    name="noiseout",
    paper="Babaeizadeh et al. 2016, arXiv 1611.06211",
    sentence="Noise outputs raise the correlation of units: most parameters can be merged away.",
    suites=("methods",),
    cells=("activation=tanh*noiseout", "activation=tanh*dense"),
    judge=judge_of("mnist · mlp with tanh", _figures),
)

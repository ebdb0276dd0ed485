"""Regularization learning networks on a table of noise features (Shavitt and Segal 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from robench.claims.base import Claim, Statement
from robench.claims.networks import MissingError, judge_of, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robench.claims.networks import Networks
    from robench.spec import Record

__all__ = ["CLAIM"]


_INFORMATIVE = 5
"""Features of friedman1 that tell."""


def _figures(networks: Networks) -> Iterator[Statement]:
    model, level = "geometric-mlp", 0.985
    (method,) = networks.methods(model, "rln", 1)
    records = networks.of(model, method, level)
    first = [_first_layer(record) for record in records]
    edges = [layer["zeros"] / layer["weights"] for layer in first]
    # At worst all the features that tell are among the dead ones.
    dead = [
        (layer["zero_inputs"] - _INFORMATIVE) / (layer["inputs"] - _INFORMATIVE) for layer in first
    ]
    plain = networks.values("mse", model, "dense", 0.0)
    ratios = [value(record, "mse") / other for record, other in zip(records, plain, strict=True)]
    yield Statement("edges of the first layer gone", edges, least=0.9979)
    yield Statement("squared error, of the dense network's", ratios, most=0.35)
    yield Statement("noise features dead", dead, least=0.75)


def _first_layer(record: Record) -> Mapping[str, float]:
    """Counts of the first layer, of the details of a train record."""
    sparsity: Any = record.details.get("sparsity")
    if not isinstance(sparsity, dict):
        raise MissingError(f"{record.cell.label} has no counts of its layers")
    layer: Mapping[str, float] = sparsity["layers"][0]
    return layer


CLAIM = Claim(
    name="rln",
    paper="Shavitt and Segal 2018, arXiv 1805.06440",
    sentence="On a table full of noise features, RLN leaves few edges and errs less than dense.",
    suites=("methods",),
    cells=("friedman1*rln", "friedman1*dense"),
    judge=judge_of("friedman1 · geometric-mlp", _figures),
)

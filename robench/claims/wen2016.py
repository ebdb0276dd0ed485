"""Structured sparsity: fewer operations at the accuracy of the dense network (Wen et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.claims.base import Claim, Statement
from robench.claims.networks import differences, judge_of, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robench.claims.networks import Networks

__all__ = ["CLAIM"]


def _figures(networks: Networks) -> Iterator[Statement]:
    model, level = "mlp", 0.75
    (method,) = networks.methods(model, "ssl", 1)
    speed = networks.of(model, method, level, stage="speed")
    shares = [value(record, "macs_compacted") / value(record, "macs_dense") for record in speed]
    lost = differences(
        networks.values("accuracy", model, "dense", 0.0),
        networks.values("accuracy", model, method, level),
    )
    yield Statement("MACs left, of the dense network's", shares, most=0.4)
    yield Statement("accuracy lost", lost, most=0.003)


CLAIM = Claim(
    name="ssl",
    paper="Wen et al. 2016, arXiv 1608.03665",
    sentence="SSL removes most operations of an MLP at about the error of the dense network.",
    suites=("methods",),
    cells=("mnist/mlp ssl", "mnist/mlp dense"),
    judge=judge_of("mnist · mlp", _figures),
)

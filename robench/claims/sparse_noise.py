"""What sparsity does to own noise, to other noise and to the gap: reported, not judged."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from robench.analysis.transfer import generalisation_gap
from robench.claims.base import Claim, Evidence, Judged, Statement
from robench.claims.protocols import Protocol, ahead, protocols

__all__ = ["CLAIM"]


def judge(evidence: Evidence) -> Iterator[Judged]:
    """For each data set, network and recipe by itself."""
    for protocol in protocols(evidence):
        if figures := list(_figures(protocol)):
            yield protocol.name, figures


def _figures(protocol: Protocol) -> Iterator[Statement]:
    """What sparsity does to own noise, to other noise and to the gap; nothing is asked."""
    gaps = generalisation_gap(protocol.over_levels, protocol.distortions).dropna(subset=["gap"])
    dense, sparse = gaps[gaps["is_dense"]], gaps[~gaps["is_dense"]]
    for (method, level), of in sparse.groupby(["method", "level"], sort=True):
        for side in ("own", "others", "gap"):
            if found := ahead(_by_seed(of, side), _by_seed(dense, side)):
                yield Statement(f"{method} at {level:g} less dense, {side}", found)


def _by_seed(gaps: pd.DataFrame, side: str) -> dict[int, float]:
    means = gaps.groupby("seed")[side].mean()
    return {int(str(seed)): float(value) for seed, value in means.items()}


CLAIM = Claim(
    name="sparse-noise",
    paper="a question of robench's own",
    sentence="What sparsity does to accuracy on own noise, on other noise, and to the gap.",
    suites=("crossgen-sparse",),
    cells=("*",),
    judge=judge,
)

"""HALO: nearly all weights gone, without fine-tuning (Seto et al. 2021)."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from robench.claims.base import Claim, Statement
from robench.claims.networks import differences, judge_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from robench.claims.networks import Networks

__all__ = ["CLAIM"]


def _figures(networks: Networks) -> Iterator[Statement]:
    model = "lenet-300-100"
    (method,) = networks.methods(model, "halo", 1)
    # The better of both lassos, chosen on the validation split.
    best = max(
        networks.methods(model, "l1", 2),
        key=lambda label: statistics.fmean(
            networks.values("accuracy_validation", model, label, 0.99)
        ),
    )
    ahead = differences(
        networks.values("accuracy", model, method, 0.99),
        networks.values("accuracy", model, best, 0.99),
    )
    yield Statement(
        "accuracy at 98 %", networks.values("accuracy", model, method, 0.98), least=0.973
    )
    yield Statement(f"accuracy ahead of {best} at 99 %", ahead, least=0.0)


CLAIM = Claim(
    name="halo",
    paper="Seto et al. 2021, arXiv 2008.10183",
    sentence="HALO keeps accuracy at 98 % without fine-tuning, and beats the lasso at 99 %.",
    suites=("methods",),
    cells=("lenet-300-100 halo", "lenet-300-100 l1"),
    judge=judge_of("mnist · lenet-300-100", _figures),
)

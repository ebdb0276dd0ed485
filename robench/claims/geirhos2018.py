"""What training on noise generalises to (Geirhos et al. 2018, arXiv 1808.08750).

Statements 2, 3 and 5 of the paper: a network that was trained on one noise gains little on another,
one that was trained on all kinds but one gains little on that one, and one that was trained on
noise alone keeps little on clean images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from robench.analysis.transfer import trained_kinds, transfer_scores
from robench.claims.base import Claim, Evidence, Judged, Statement
from robench.claims.protocols import Protocol, mean, of_seeds, protocols

__all__ = ["CLAIM"]

_LITTLE = 0.2
"""So much of what could be gained, or kept, is little; the published networks gained 0.00 to 0.10
and kept 0.02 to 0.06."""
_UNIFORM, _SALT = "uniform-noise", "salt-and-pepper"


def judge(evidence: Evidence) -> Iterator[Judged]:
    """For each data set, network and recipe by itself."""
    for protocol in protocols(evidence):
        if figures := list(_figures(protocol)):
            yield protocol.name, figures


def _figures(protocol: Protocol) -> Iterator[Statement]:
    """Statements 2, 3 and 5, on dense networks and at the published levels."""
    matrix, distortions = protocol.at_published_levels, protocol.distortions
    matrix, chance = matrix[matrix["is_dense"]], protocol.chance
    scores = transfer_scores(matrix, distortions)
    for trained, test in ((_SALT, _UNIFORM), (_UNIFORM, _SALT)):
        yield from _little_gained(f"(2) {trained} to {test}: share gained", scores, trained, test)
    for left_out in (_UNIFORM, _SALT):
        trained = f"all but {left_out}"
        name = f"(3) {trained}, on {left_out}: share gained"
        yield from _little_gained(name, scores, trained, left_out)
        own = matrix[matrix["training"] == trained]
        own = own[own["test"].isin(trained_kinds(distortions.get(trained)))]
        least = own.groupby("seed")["value"].min()
        if len(least):
            yield Statement(f"(3) {trained}: least accuracy on what it saw", list(least), least=0.7)
    clean = of_seeds(matrix, training="none", test="clean")
    for trained in (_SALT, _UNIFORM, f"{_UNIFORM} + {_SALT}"):
        on_clean = of_seeds(matrix, training=trained, test="clean")
        kept = [
            (on_clean[seed] - chance) / (clean[seed] - chance)
            for seed in sorted(on_clean.keys() & clean.keys())
        ]
        if kept:
            remark = f"accuracy {mean(on_clean)}, trained on clean {mean(clean)}"
            name = f"(5) {trained} alone, on clean images: share kept"
            yield Statement(name, kept, most=_LITTLE, remark=remark)


def _little_gained(name: str, scores: pd.DataFrame, trained: str, test: str) -> Iterator[Statement]:
    """The share gained; beside it that of networks that saw the loss of contrast alone."""
    rows = scores[(scores["training"] == trained) & (scores["test"] == test)]
    if len(rows):
        figures = {
            column: mean(of_seeds(rows, column)) for column in ("value", "clean", "specialist")
        }
        remark = (
            f"accuracy {figures['value']}, trained on clean {figures['clean']}, on it "
            f"{figures['specialist']}"
        )
        control = list(rows["control_score"])
        if not any(map(math.isnan, control)):
            remark += f"; less contrast alone gains a share of {sum(control) / len(control):.3f}"
        values = [value for _, value in sorted(of_seeds(rows, "score").items())]
        yield Statement(name, values, most=_LITTLE, remark=remark)


CLAIM = Claim(
    name="noise-generalisation",
    paper="Geirhos et al. 2018, arXiv 1808.08750",
    sentence="Networks that are trained on noise gain little on other noise.",
    suites=("crossgen",),
    cells=("/* dense",),
    judge=judge,
)

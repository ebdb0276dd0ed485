"""Set a trained network beside gradient-boosted trees: alone, together, and what each relies on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.measure.boosting import boosted_trees, squared_error, targets_of
from robench.measure.importance import (
    divergence_bits,
    entropy_bits,
    importance_shares,
    total_effects,
)
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.declarations.trees import TreesOptions
from robench.stages.network import trained_network
from robench.stages.quality import quality
from robench.training.evaluate import predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.data.base import Data
    from robench.measure.importance import Answer
    from robench.models.base import Network

__all__ = ["trees"]

_ROWS = 256
"""Test rows, at most, whose features are exchanged to see what a model relies on."""
_NAMED = 50
"""Features, at most, whose importance the record names; all of them are in its arrays."""


def trees(cell: Cell, context: Context) -> Outcome:
    """Quality of the trees and of their ensemble with the network; importance of each feature.

    The ensemble is a weighted mean of both answers. The weight is the one in [0, 1] that has the
    least squared error on the validation split (stacking, Wolpert 1992).
    """
    data = context.data
    seed = cell.seed_for("evaluate")
    network = _answer_of(trained_network(cell, context), data)
    options = cell.options_as(TreesOptions)
    boosted = boosted_trees(data, options, seed)
    weight = _weight(data, network, boosted.answer)
    shown = data.test.images.numpy()
    shuffled = shown[:_ROWS]
    alone = boosted.answer(shown)
    together = weight * network(shown) + (1 - weight) * alone
    effects = {
        "network": total_effects(network, shuffled, seed=seed),
        "trees": _effects_of_trees(data, options, seed),
    }
    return Outcome(
        metrics=(
            *_quality(data, alone, "trees"),
            *_quality(data, together, "ensemble"),
            Metric(name="ensemble_weight", value=weight, n=len(data.validation)),
            Metric(name="trees_rounds", value=boosted.rounds),
            *_reliance(effects["network"], effects["trees"], rows=len(shuffled)),
        ),
        details={
            "importance": {name: _named(data, found) for name, found in effects.items()},
        },
        arrays={
            "index": data.test.index.numpy(),
            "label": data.test.labels.numpy(),
            "trees": alone,
            "ensemble": together,
            "network_effects": effects["network"],
            "trees_effects": effects["trees"],
        },
    )


def _answer_of(network: Network, data: Data) -> Answer:
    """The network's probabilities, or its standardised predictions, as of any other function."""

    def answer(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        outputs = predict(network, torch.from_numpy(rows), batch_size=4096).double()
        found: NDArray[np.float64] = (outputs.softmax(1) if data.classes else outputs).cpu().numpy()
        return found

    return answer


@lru_cache(maxsize=8)
def _effects_of_trees(data: Data, options: TreesOptions, seed: int) -> NDArray[np.float64]:
    """The same for all networks of a data set and seed, and slower than theirs."""
    rows = data.test.images.numpy()[:_ROWS]
    return total_effects(boosted_trees(data, options, seed).answer, rows, seed=seed)


def _weight(data: Data, network: Answer, alone: Answer) -> float:
    """The network's share: where the squared error of the mean, a parabola, is least in [0, 1]."""
    rows = data.validation.images.numpy()
    base = alone(rows)
    step = network(rows) - base
    length = squared_error(step, np.zeros_like(step))
    if length == 0:
        return 0.5  # they agree everywhere
    towards = float(((targets_of(data, data.validation) - base) * step).sum(axis=1).mean())
    return min(max(towards / length, 0.0), 1.0)


def _quality(data: Data, answers: NDArray[np.float64], whose: str) -> Iterator[Metric]:
    for metric in quality(data, torch.from_numpy(answers), data.test):
        yield metric.model_copy(update={"name": f"{whose}_{metric.name}"})


def _reliance(
    network: NDArray[np.float64], boosted: NDArray[np.float64], *, rows: int
) -> Iterator[Metric]:
    """Entropy of the importances, inputs that change no answer, and how the two models differ."""
    for prefix, effects in (("", network), ("trees_", boosted)):
        shares = importance_shares(effects)
        bits = entropy_bits(shares) if shares is not None else None
        yield Metric(name=f"{prefix}importance_entropy", value=bits, n=rows)
        unused = float((effects == 0).mean())
        yield Metric(name=f"{prefix}unused_inputs", value=unused, n=rows)
    own, other = importance_shares(network), importance_shares(boosted)
    if own is not None and other is not None:
        apart = divergence_bits(own, other)
        yield Metric(name="importance_divergence", value=apart, n=rows)


def _named(data: Data, effects: NDArray[np.float64]) -> list[list[Any]]:
    """The most important features with their shares, the most important first."""
    shares = importance_shares(effects)
    if shares is None:
        return []
    names = data.features or [f"feature {place}" for place in range(1, len(shares) + 1)]
    first = np.argsort(-shares, kind="stable")[:_NAMED]
    return [[names[place], round(float(shares[place]), 6)] for place in first if shares[place]]

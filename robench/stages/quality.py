"""How good a network's answers are: accuracy, or the error of a regression in its own units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy import stats

from robench.spec import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from robench.data.base import Data, Split

__all__ = ["quality"]


def quality(data: Data, outputs: Tensor, split: Split, suffix: str = "") -> tuple[Metric, ...]:
    """Accuracy with Wilson's interval; of a regression the mean squared error and R².

    Args:
        data: what the outputs are about.
        outputs: [N, classes] logits, or [N, 1] standardised predictions.
        split: whose inputs were shown, in the same order.
        suffix: ends the metrics' names.
    """
    labels = split.labels.to(outputs.device)
    if data.task == "classification":
        correct = int((outputs.argmax(1) == labels).sum())
        return (Metric.share(f"accuracy{suffix}", correct, len(labels)),)
    squares = (outputs.squeeze(1).double() - labels.double()).square() * data.target_std**2
    spread = float(labels.double().var(correction=0)) * data.target_std**2
    return _errors(squares, spread, suffix)


def _errors(squares: Tensor, spread: float, suffix: str) -> tuple[Metric, ...]:
    """Mean squared error with its 95 % t interval over the rows, and what that makes of R².

    The interval of R² takes the targets' variance over the split as given.
    """
    n = len(squares)
    mse = float(squares.mean())
    half = math.inf
    if n > 1:
        half = float(stats.t.ppf(0.975, n - 1)) * float(squares.std()) / math.sqrt(n)
    known = math.isfinite(half)
    low, high = (max(mse - half, 0.0), mse + half) if known else (None, None)
    metrics = [Metric(name=f"mse{suffix}", value=mse, n=n, low=low, high=high)]
    if spread > 0:
        share = [None if bound is None else 1 - bound / spread for bound in (high, low)]
        metrics.append(
            Metric(name=f"r2{suffix}", value=1 - mse / spread, n=n, low=share[0], high=share[1])
        )
    return tuple(metrics)

"""How good a network's answers are: accuracy, or the error of a regression in its own units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from robench.spec import Metric
from robench.stats.resampling import mean_figure

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
    """Mean squared error with its 95 % interval over the rows, and what that makes of R².

    The interval of R² takes the targets' variance over the split as given.
    """
    n = len(squares)
    figure = mean_figure(squares.cpu().numpy())
    mse, *bounds = (value if math.isfinite(value) else None for value in figure)
    metrics = [Metric(name=f"mse{suffix}", value=mse, n=n, low=bounds[0], high=bounds[1])]
    if spread > 0:
        value, high, low = (None if mse is None else 1 - mse / spread for mse in (mse, *bounds))
        metrics.append(Metric(name=f"r2{suffix}", value=value, n=n, low=low, high=high))
    return tuple(metrics)

"""Negative log-likelihood."""

from __future__ import annotations

import math

from robench.stages.scores.base import Answers, Figure, Score, mean_of

__all__ = ["NegativeLogLikelihood"]


class NegativeLogLikelihood(Score):
    """Mean of minus the logarithm of the probability of the right class, in nats."""

    name = "nll"
    title = "negative log-likelihood"
    bounds = (0.0, math.inf)
    better = "lower"

    def measure(self, answers: Answers) -> Figure:
        """Mean over inputs, with its interval."""
        from robench.measure.calibration import log_losses

        return mean_of(log_losses(answers.logits, answers.labels))

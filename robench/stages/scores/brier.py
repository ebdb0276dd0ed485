"""Brier score over all classes (Brier 1950)."""

from __future__ import annotations

from robench.stages.scores.base import Answers, Figure, Score, mean_of

__all__ = ["Brier"]


class Brier(Score):
    """Mean squared distance of the probabilities of all classes from the truth."""

    name = "brier"
    title = "Brier score"
    bounds = (0.0, 2.0)
    better = "lower"

    def measure(self, answers: Answers) -> Figure:
        """Mean over inputs, with its interval."""
        from robench.measure.calibration import brier_scores

        return mean_of(brier_scores(answers.logits, answers.labels))

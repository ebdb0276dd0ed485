"""Area under the risk-coverage curve: does confidence tell right answers from wrong ones?

Geifman, Uziel, El-Yaniv 2019, *Bias-reduced uncertainty estimation for deep neural classifiers*
(arXiv 1805.08206). Of the k most confident answers, let the risk be the share that is wrong; the
area is the mean risk over all k. It is low where errors are rare, and where they are the least
confident answers.
"""

import numpy as np

from robench.stages.scores import Answers, Score
from robench.stages.scores.base import Figure

__all__ = ["RiskCoverage", "area"]


class RiskCoverage(Score):
    """Area under the risk-coverage curve: mean error among the k most confident answers."""

    name = "aurc"
    title = "risk-coverage area"
    unit = "share"
    bounds = (0.0, 1.0)
    better = "lower"
    shown = "leaderboard"

    def measure(self, answers: Answers) -> Figure:
        """No interval: the risks at different k share their answers."""
        return Figure(area(answers.confidence, ~answers.correct))


def area(confidence: np.ndarray, wrong: np.ndarray) -> float:
    """Mean over k of the share of errors among the k most confident of N answers.

    Answers of equal confidence count as if they stood in every order: each by the mean error of
    all of them.

    Args:
        confidence: [N].
        wrong: bool [N].
    """
    _, group = np.unique(-confidence, return_inverse=True)  # most confident first
    error = np.bincount(group, wrong) / np.bincount(group)  # of each group of equals
    errors = np.sort(group)  # the group of each answer, in the order of confidence
    risks = np.cumsum(error[errors]) / np.arange(1, len(wrong) + 1)  # [N]
    return float(risks.mean())

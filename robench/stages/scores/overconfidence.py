"""Mean confidence minus accuracy."""

from __future__ import annotations

from robench.stages.scores.base import Answers, Figure, Score

__all__ = ["Overconfidence"]


class Overconfidence(Score):
    """Mean confidence minus accuracy."""

    name = "overconfidence"
    title = "overconfidence"
    meaning = "Mean confidence minus accuracy: above zero, the network is surer than it is right."
    unit = "share"
    bounds = (-1.0, 1.0)

    def measure(self, answers: Answers) -> Figure:
        """The signed difference of both means."""
        return Figure(float(answers.confidence.mean() - answers.correct.mean()))

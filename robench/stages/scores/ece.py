"""Expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

from robench.stages.scores.base import Answers, Figure, Score

__all__ = ["ExpectedCalibrationError"]


class ExpectedCalibrationError(Score):
    """How far the share of right answers is from confidence, over bins of equal width."""

    name = "ece"
    title = "calibration error"
    meaning = (
        "Expected calibration error on clean test inputs: how far the share of right answers is "
        "from the network's confidence, mean over bins of equal width; less is better. Few inputs "
        "make it larger, so that rows compare at one number of inputs and bins."
    )
    unit = "share"
    bounds = (0.0, 1.0)
    better = "lower"
    shown = "leaderboard"

    def measure(self, answers: Answers) -> Figure:
        """No interval: it is biased upwards by few inputs, which an interval would not show."""
        from robench.measure.calibration import equal_width

        return Figure(equal_width(answers.confidence, answers.correct, answers.bins).error)

"""Calibration error over bins of equal mass (Nixon et al. 2019, arXiv 1904.01685)."""

from __future__ import annotations

from robench.stages.scores.base import Answers, Figure, Score

__all__ = ["AdaptiveCalibrationError"]


class AdaptiveCalibrationError(Score):
    """How far the share of right answers is from confidence, over bins of equally many."""

    name = "adaptive_ece"
    title = "adaptive calibration error"
    meaning = "The same over bins of equally many answers."
    unit = "share"
    bounds = (0.0, 1.0)
    better = "lower"

    def measure(self, answers: Answers) -> Figure:
        """No interval, as for the expected calibration error."""
        from robench.measure.calibration import equal_mass

        return Figure(equal_mass(answers.confidence, answers.correct, answers.bins).error)

"""AdaptiveCalibrationError, by hand or against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from robench.stages.scores.adaptive_ece import AdaptiveCalibrationError
from robench.stages.scores.base import Answers


def logits_of(shares: Sequence[float]) -> NDArray[np.float32]:
    """Logits of two classes, of which the first has these probabilities."""
    first = np.asarray(shares)
    return np.log(np.column_stack([first, 1 - first])).astype(np.float32)


def test_bins_hold_equally_many_answers() -> None:
    # Two bins of two answers: the least sure two, and the surest two.
    logits = logits_of([0.55, 0.65, 0.8, 0.9])
    answers = Answers(logits, np.array([0, 1, 0, 0]), bins=2)
    expected = (2 * abs(0.6 - 0.5) + 2 * abs(0.85 - 1.0)) / 4
    assert AdaptiveCalibrationError().measure(answers).value == pytest.approx(expected, abs=1e-6)

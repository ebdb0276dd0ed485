"""ExpectedCalibrationError, by hand or against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from robench.stages.scores.base import Answers
from robench.stages.scores.ece import ExpectedCalibrationError


def logits_of(shares: Sequence[float]) -> NDArray[np.float32]:
    """Logits of two classes, of which the first has these probabilities."""
    first = np.asarray(shares)
    return np.log(np.column_stack([first, 1 - first])).astype(np.float32)


def test_two_bins_by_hand() -> None:
    # Confidence 0.6 with accuracy 1/2, confidence 0.9 with accuracy 1, two answers each.
    logits = logits_of([0.6, 0.6, 0.9, 0.9])
    answers = Answers(logits, np.array([0, 1, 0, 0]), bins=10)
    expected = (2 * abs(0.6 - 0.5) + 2 * abs(0.9 - 1.0)) / 4
    assert ExpectedCalibrationError().measure(answers).value == pytest.approx(expected, abs=1e-6)

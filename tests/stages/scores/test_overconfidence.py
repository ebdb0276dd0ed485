"""Overconfidence, by hand or against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from robench.stages.scores.base import Answers
from robench.stages.scores.overconfidence import Overconfidence


def logits_of(shares: Sequence[float]) -> NDArray[np.float32]:
    """Logits of two classes, of which the first has these probabilities."""
    first = np.asarray(shares)
    return np.log(np.column_stack([first, 1 - first])).astype(np.float32)


def test_it_is_confidence_minus_accuracy() -> None:
    answers = Answers(logits_of([0.6, 0.8]), np.array([0, 1]))
    assert Overconfidence().measure(answers).value == pytest.approx(0.7 - 0.5, abs=1e-6)

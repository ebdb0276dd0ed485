"""NegativeLogLikelihood, by hand or against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from robench.stages.scores.base import Answers
from robench.stages.scores.nll import NegativeLogLikelihood


def logits_of(shares: Sequence[float]) -> NDArray[np.float32]:
    """Logits of two classes, of which the first has these probabilities."""
    first = np.asarray(shares)
    return np.log(np.column_stack([first, 1 - first])).astype(np.float32)


def test_it_is_scikit_learns_log_loss() -> None:
    from sklearn.metrics import log_loss

    shares, labels = np.array([0.6, 0.9, 0.7]), np.array([0, 0, 1])
    found = NegativeLogLikelihood().measure(Answers(logits_of(shares), labels))
    both = np.column_stack([shares, 1 - shares])
    assert found.value == pytest.approx(log_loss(labels, both), abs=1e-6)
    assert found.low < found.value < found.high

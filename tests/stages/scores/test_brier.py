"""Brier, by hand or against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from robench.stages.scores.base import Answers
from robench.stages.scores.brier import Brier


def logits_of(shares: Sequence[float]) -> NDArray[np.float32]:
    """Logits of two classes, of which the first has these probabilities."""
    first = np.asarray(shares)
    return np.log(np.column_stack([first, 1 - first])).astype(np.float32)


def test_it_is_scikit_learns_twice_over_for_two_classes() -> None:
    from sklearn.metrics import brier_score_loss

    shares, labels = [0.6, 0.9, 0.7], np.array([0, 0, 1])
    found = Brier().measure(Answers(logits_of(shares), labels))
    # Over both classes the squares of a binary answer are counted twice.
    assert found.value == pytest.approx(2 * brier_score_loss(labels == 0, shares), abs=1e-6)
    assert found.low < found.value < found.high

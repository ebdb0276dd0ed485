"""Calibration errors and proper scores: does confidence equal accuracy?

The confidence of an answer is its largest class probability. Among answers of equal confidence, a
calibrated network is correct in just that share. A calibration error is the mean distance between
confidence and accuracy over bins of confidence: with bins of equal width
(expected calibration error, Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599) or of equal
mass (Nguyen and O'Connor 2015, arXiv 1508.05154; "adaptive", Mukhoti et al. 2020, arXiv
2002.09437). Both estimates are biased upwards: with few images or many bins, a calibrated network
has a positive error too. Compare figures only at equal numbers of images and bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robench.errors import InputError

__all__ = [
    "Reliability",
    "brier_scores",
    "equal_mass",
    "equal_width",
    "log_losses",
    "probabilities",
]


@dataclass(frozen=True)
class Reliability:
    """Answers by confidence: what a reliability diagram draws.

    Attributes:
        count: answers in each bin, int [bins].
        confidence: their mean confidence, [bins]; NaN where there is no answer.
        accuracy: the share of them that is right, likewise.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Mean over all answers of how far accuracy is from confidence in their bins, [0, 1]."""
        filled = self.count > 0
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def equal_width(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int
) -> Reliability:
    """Bins that divide [0, 1] evenly; a bound belongs to the bin below it, as in Guo et al.

    Args:
        confidence: [N], in [0, 1].
        correct: bool [N].
        bins: how many, from 1.

    Raises:
        InputError: there are no answers, or a confidence outside [0, 1].
    """
    _check(confidence, correct)
    bounds = np.arange(1, bins) / bins
    return _binned(np.searchsorted(bounds, confidence, side="left"), confidence, correct, bins)


def equal_mass(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int
) -> Reliability:
    """Bins of as equally many answers as can be; answers of one confidence share one bin.

    Without the latter, the order of the images would decide where answers of equal confidence go,
    and a network that is always equally sure would have an error of pure chance.

    Args:
        confidence: [N], in [0, 1].
        correct: bool [N].
        bins: how many at most, from 1.

    Raises:
        InputError: there are no answers, or a confidence outside [0, 1].
    """
    _check(confidence, correct)
    _, place, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2  # of the ranks of equal ones, from 0 to N
    bin_of = np.minimum((bins * middle / len(confidence)).astype(np.int64), bins - 1)
    return _binned(bin_of[place], confidence, correct, bins)


def probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The softmax of logits [N, classes], in double precision."""
    return np.exp(_log_probabilities(logits))


def brier_scores(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared distance of the probabilities from the truth, over all classes (Brier 1950).

    Of two classes it is twice what is often given, the squared error of one of the probabilities.

    Args:
        logits: [N, classes].
        labels: int [N].

    Returns:
        In [0, 2], [N].
    """
    found = probabilities(logits)
    found[np.arange(len(labels)), labels] -= 1
    scores: NDArray[np.float64] = np.square(found).sum(axis=1)
    return scores


def log_losses(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Negative logarithm of the probability of the right class, in nats, [N]; from logits, finite.

    Args:
        logits: [N, classes].
        labels: int [N].
    """
    return -_log_probabilities(logits)[np.arange(len(labels)), labels]


def _log_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def _binned(
    bin_of: NDArray[np.int64],
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    bins: int,
) -> Reliability:
    count = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights=values, minlength=bins) for values in (confidence, correct)]
    with np.errstate(invalid="ignore"):
        means = [total / count for total in sums]
    return Reliability(count, means[0], means[1])


def _check(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> None:
    if not len(confidence) or confidence.shape != correct.shape:
        raise InputError(
            f"{len(confidence)} confidences and {len(correct)} answers do not go together",
            allowed="one confidence for each answer, and at least one",
        )
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise InputError("a confidence is no probability", allowed="numbers in [0, 1]")

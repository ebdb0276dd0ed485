"""Intervals over seeds: of a mean, and of a paired difference.

Two sources of variance are never mixed. Here it is a handful of training seeds, for which Student's
t holds its level and the bootstrap does not. Intervals over the many images that one network was
tested on come with the records: Wilson's for shares, the bootstrap's for medians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t

from robench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Interval",
    "paired_difference",
    "student_t",
    "t_half_width",
]


@dataclass(frozen=True)
class Interval:
    """An estimate and its bounds; `None` where there are too few values to say."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """How many values the estimate rests on: seeds, or pairs of them."""


def student_t(values: ArrayLike, *, confidence: float = 0.95, geometric: bool = False) -> Interval:
    """The mean of a few values with Student's t interval (Student 1908).

    Args:
        values: one number a seed, shape (n,).
        confidence: in (0, 1).
        geometric: average logarithms, as ratios ask for (Fleming and Wallace 1986); the interval
            is then positive, and not symmetric.

    Raises:
        InputError: a value that is not finite, or not positive where logarithms are taken.
    """
    _check_confidence(confidence)
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not np.isfinite(given).all() or (geometric and (given <= 0).any()):
        raise InputError(
            f"no mean of values of shape {given.shape}: {given.tolist()}",
            allowed=f"a flat list of finite {'positive ' if geometric else ''}numbers",
        )
    if given.size == 0:
        return Interval(None, None, None, 0)
    scaled = np.log(given) if geometric else given
    mean = scaled.mean()
    if given.size == 1:
        return Interval(float(given[0]), None, None, 1)
    half = t_half_width(scaled.std(ddof=1), given.size, confidence)
    bounds = np.array([mean, mean - half, mean + half])
    value, low, high = (np.exp(bounds) if geometric else bounds).tolist()
    return Interval(value, low, high, given.size)


def t_half_width(
    deviation: ArrayLike, n: ArrayLike, confidence: float = 0.95
) -> NDArray[np.float64]:
    """Half the width of Student's t interval, element by element; NaN where `n` is below 2.

    Args:
        deviation: sample standard deviations, with n − 1 in the denominator.
        n: how many values each of them comes from.
        confidence: in (0, 1).
    """
    count = np.asarray(n, dtype=np.float64)
    freedom = np.where(count > 1, count - 1, np.nan)
    quantile = t.ppf((1 + confidence) / 2, freedom)
    return np.asarray(quantile * np.asarray(deviation) / np.sqrt(count), dtype=np.float64)


def paired_difference(
    a: Mapping[int, float], b: Mapping[int, float], *, confidence: float = 0.95
) -> Interval:
    """The mean of `a` − `b` over the seeds that both have, with Student's t interval.

    Networks of one seed start from the same weights and see the same batches, so that their
    difference varies less than either of them.

    Args:
        a: seed → value.
        b: seed → value.
        confidence: in (0, 1).
    """
    seeds = sorted(a.keys() & b.keys())
    return student_t([a[seed] - b[seed] for seed in seeds], confidence=confidence)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"there is no confidence of {confidence!r}", allowed="a number in (0, 1)")

"""Intervals: of a proportion, of a mean over seeds, of a paired difference, of a median.

Two sources of variance are never mixed: a handful of training seeds, for which Student's t holds
its level and the bootstrap does not, and the many images that one network was tested on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm, t

from robench.errors import InputError
from robench.spec.record import wilson_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Interval",
    "bootstrap_median",
    "paired_difference",
    "student_t",
    "t_half_width",
    "wilson",
]


@dataclass(frozen=True)
class Interval:
    """An estimate and its bounds; `None` where there are too few values to say."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """How many values the estimate rests on: trials, seeds, pairs or images."""


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """A proportion with Wilson's score interval (Wilson 1927).

    Args:
        successes: 0 … n.
        n: how many trials; none at all leave the proportion anywhere in [0, 1].
        confidence: in (0, 1).

    Raises:
        InputError: more successes than trials, a negative count, or no such confidence.
    """
    _check_confidence(confidence)
    if not 0 <= successes <= n:
        raise InputError(f"{successes} successes in {n} trials", allowed="0 ≤ successes ≤ trials")
    low, high = wilson_interval(successes, n, z=float(norm.ppf((1 + confidence) / 2)))
    return Interval(successes / n if n else None, low, high, n)


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


def bootstrap_median(
    values: Sequence[float] | NDArray[np.floating],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A median over images with its percentile bootstrap interval (Efron 1979).

    Made for many values, such as one distance an image. For a handful of seeds its interval is too
    narrow: use :func:`student_t`.

    Args:
        values: shape (n,); infinity stands for an image that no attack broke.
        confidence: in (0, 1).
        resamples: how many medians are drawn.
        seed: of the generator; the same seed gives the same interval.

    Raises:
        InputError: NaN among the values, or fewer than one resample.
    """
    _check_confidence(confidence)
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or np.isnan(given).any() or resamples < 1:
        raise InputError(
            f"no median of values of shape {given.shape} with {resamples} resamples",
            allowed="a flat list without NaN, and at least one resample",
        )
    if given.size == 0:
        return Interval(None, None, None, 0)
    generator = np.random.default_rng(seed)
    drawn = np.array(
        [
            np.median(given[generator.integers(given.size, size=given.size)])
            for _ in range(resamples)
        ]
    )
    # An order statistic of the draws: between infinities nothing can be interpolated.
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(drawn, tails, method="inverted_cdf").tolist()
    return Interval(float(np.median(given)), low, high, given.size)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"there is no confidence of {confidence!r}", allowed="a number in (0, 1)")

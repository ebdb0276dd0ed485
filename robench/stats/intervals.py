"""Intervals: over seeds, over images, and of both together.

A handful of training seeds asks for Student's t, for which the bootstrap is too narrow. Intervals
over the many images that one network was tested on come with the records: Wilson's for shares,
order statistics for medians, a Bayesian bootstrap for areas. All seeds are tested on the same
images, so that what the images leave open does not show in how seeds differ: `widen` adds the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from robench.errors import InputError
from robench.stats.proportion import wilson_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "Bounds",
    "Interval",
    "check_confidence",
    "difference",
    "fieller",
    "student_t",
    "t_half_width",
    "widen",
    "wilson",
]


class Bounds(NamedTuple):
    """Estimates with the bounds of their intervals, arrays of one shape; NaN where unknown."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


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
    check_confidence(confidence)
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


def wilson(share: ArrayLike, n: ArrayLike) -> Bounds:
    """Wilson's 95 % score interval of each share; NaN where the share or `n` is.

    For the mean over several conditions of the same `n` images it is an upper bound: the mean of
    an image lies in [0, 1], and varies most where the image is always right or always wrong.

    Args:
        share: in [0, 1].
        n: images that each rests on.
    """
    shares, counts = np.broadcast_arrays(
        np.asarray(share, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    edges = [
        wilson_interval(value * count, count)
        if np.isfinite(value) and np.isfinite(count)
        else (np.nan, np.nan)
        for value, count in zip(shares.ravel(), counts.ravel(), strict=True)
    ]
    low, high = np.array(edges, dtype=np.float64).reshape(-1, 2).T
    return Bounds(shares, low.reshape(shares.shape), high.reshape(shares.shape))


def widen(value: ArrayLike, seeds: ArrayLike, images: Bounds) -> Bounds:
    """An interval that is open to both the choice of seeds and the choice of images.

    The distances from the estimate to the two bounds are added in squares: the method of variance
    estimates recovery, MOVER (Zou and Donner 2008), which keeps the asymmetry of Wilson's interval
    near 0 and 1. The result is never narrower than either part. It has the right width where all
    seeds err on the same images, as networks of one kind mostly do, and is too wide where they do
    not: which of both holds cannot be told from a few shares.

    Args:
        value: estimates.
        seeds: half the width of their interval over seeds, as of `t_half_width`.
        images: estimates of the same with their intervals over images; where bounds are NaN, only
            seeds count.
    """
    centre, half = np.asarray(value, dtype=np.float64), np.asarray(seeds, dtype=np.float64)
    below, above = images.value - images.low, images.high - images.value
    return Bounds(
        centre,
        centre - np.hypot(half, np.where(np.isnan(below), 0.0, below)),
        centre + np.hypot(half, np.where(np.isnan(above), 0.0, above)),
    )


def difference(a: Bounds, b: Bounds) -> Bounds:
    """`a` − `b`, with the interval that MOVER makes of both (Newcombe 1998 for two shares).

    Two networks that are tested on the same images tend to err on the same ones, and their
    difference then varies less: from sums alone this is not known, and the interval takes them as
    independent.
    """
    value = a.value - b.value
    return Bounds(
        value,
        value - np.hypot(a.value - a.low, b.high - b.value),
        value + np.hypot(a.high - a.value, b.value - b.low),
    )


def fieller(
    numerators: ArrayLike, denominators: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """The ratio of two means of paired values, with Fieller's interval (Fieller 1954).

    A mean of ratios is at the mercy of its smallest denominator; the ratio of the means is not.

    Args:
        numerators: one number a seed.
        denominators: one number a seed, in the same order.
        confidence: in (0, 1).

    Returns:
        No value where the mean of the denominators is not above 0, and no bounds where it does not
        differ from 0 at this confidence, so that any ratio is possible; nor for one pair.

    Raises:
        InputError: lists of different lengths, or a value that is not finite.
    """
    check_confidence(confidence)
    up, down = (np.asarray(given, dtype=np.float64) for given in (numerators, denominators))
    if up.ndim != 1 or up.shape != down.shape or not np.isfinite([up, down]).all():
        raise InputError(
            f"no ratio of values of shapes {up.shape} and {down.shape}: {up.tolist()} over "
            f"{down.tolist()}",
            allowed="two flat lists of finite numbers, of one length",
        )
    n = up.size
    if n == 0 or down.mean() <= 0:
        return Interval(None, None, None, n)
    ratio = float(up.mean() / down.mean())
    if n == 1:
        return Interval(ratio, None, None, 1)
    # All r at which the mean of `up` − r · `down` does not differ from 0: a quadratic in r.
    (var_up, covariance), (_, var_down) = np.cov(up, down) * (
        t.ppf((1 + confidence) / 2, n - 1) ** 2 / n
    )
    a = down.mean() ** 2 - var_down
    b = up.mean() * down.mean() - covariance
    c = up.mean() ** 2 - var_up
    if a <= 0:
        return Interval(ratio, None, None, n)
    root = float(np.sqrt(max(b * b - a * c, 0.0)))
    return Interval(ratio, float((b - root) / a), float((b + root) / a), n)


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence.

    Raises:
        InputError: it does not lie in (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"there is no confidence of {confidence!r}", allowed="a number in (0, 1)")

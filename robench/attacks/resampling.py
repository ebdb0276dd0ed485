"""The bootstrap over images: one resampling that all figures of a network share.

A resample is how often each image counts, so that a figure is a function of counts, and a whole
block of resamples is one matrix. Figures of one resampling move together, as they do in truth: two
networks that were tested on the same images can be compared image by image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from robench.errors import InputError

__all__ = ["Counts", "Figure", "Statistic", "bootstrap", "mean", "median", "total"]

Counts: TypeAlias = "NDArray[np.float64]"
"""How often each image counts, in each of some resamples, [R, N]."""
Statistic: TypeAlias = Callable[[Counts], "NDArray[np.float64]"]
"""From counts [R, N] to the statistic of each resample, [R]."""

_BLOCK = 2**22
"""Counts that are held in memory at a time."""


class Figure(NamedTuple):
    """A number and the bounds of its interval; infinite or NaN where it does not exist."""

    value: float
    low: float
    high: float


def bootstrap(
    statistics: Mapping[str, Statistic],
    n: int,
    seed: int,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> dict[str, Figure]:
    """Percentile bootstrap intervals of several statistics of one sample (Efron 1979).

    Args:
        statistics: by name; all of them see the same resamples.
        n: images in the sample.
        seed: of the resampling.
        resamples: how many.
        confidence: in (0, 1).

    Returns:
        By name the statistic of the sample itself, and its interval. Resamples in which a statistic
        is not defined (no image is classified correctly, say) are left out of its interval.

    Raises:
        InputError: no images, no resamples, or no such confidence.
    """
    if n < 1 or resamples < 1 or not 0 < confidence < 1:
        raise InputError(
            f"n is {n}, resamples is {resamples}, confidence is {confidence}",
            allowed="at least 1, at least 1, and between 0 and 1",
        )
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in statistics}
    with np.errstate(divide="ignore", invalid="ignore"):
        for counts in _resamples(n, seed, resamples):
            for name, statistic in statistics.items():
                drawn[name].append(statistic(counts))
        itself = np.ones((1, n))
        return {
            name: Figure(float(statistic(itself)[0]), *_bounds(drawn[name], confidence))
            for name, statistic in statistics.items()
        }


def mean(values: NDArray[np.float64], counts: Counts) -> NDArray[np.float64]:
    """The mean of `values` [N] in each resample; NaN where none of them counts."""
    finite = np.isfinite(values)
    sums = counts @ np.where(finite, values, 0)
    if not finite.all():
        sums[counts @ ~finite > 0] = np.inf
    return np.asarray(sums / total(counts), dtype=np.float64)


def median(
    values: NDArray[np.float64], counts: Counts, *, lower: bool = False
) -> NDArray[np.float64]:
    """The median of `values` [N] in each resample; NaN where none of them counts.

    Args:
        values: may be infinite.
        counts: [R, N].
        lower: of an even number of values, the lower of the two in the middle, and not their mean.
    """
    size = total(counts)
    if not len(values):
        return np.full(len(counts), np.nan)
    order = np.argsort(values, kind="stable")
    # Up to and including each value, how many there are.
    reached = np.take(counts, order, axis=1)
    np.cumsum(reached, axis=1, out=reached)
    ordered = values[order]
    low = ordered[np.argmax(reached >= np.ceil(size / 2)[:, None], axis=1)]
    if lower:
        return np.where(size > 0, low, np.nan)
    high = ordered[np.argmax(reached >= np.floor(size / 2 + 1)[:, None], axis=1)]
    # Infinity minus infinity is not defined; their mean is.
    middle = np.where(low == high, low, low / 2 + high / 2)
    return np.where(size > 0, middle, np.nan)


def total(counts: Counts) -> NDArray[np.float64]:
    """How many images each resample has, [R]."""
    return np.asarray(counts.sum(axis=1), dtype=np.float64)


def _resamples(n: int, seed: int, resamples: int) -> Iterator[Counts]:
    """Blocks of counts [r, n], `resamples` rows in all."""
    rows = max(1, min(resamples, _BLOCK // n))
    if rows == resamples:
        yield _drawn_once(n, seed, resamples)
        return
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, rows):
        yield _drawn(n, min(rows, resamples - start), generator)


@lru_cache(maxsize=2)
def _drawn_once(n: int, seed: int, resamples: int) -> Counts:
    """To draw takes longer than most statistics, and networks are tested on the same images."""
    counts = _drawn(n, resamples, np.random.default_rng(seed))
    counts.flags.writeable = False
    return counts


def _drawn(n: int, rows: int, generator: np.random.Generator) -> Counts:
    images = generator.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
    counts = np.bincount(images.ravel(), minlength=rows * n).reshape(rows, n)
    return counts.astype(np.float64)


def _bounds(drawn: list[NDArray[np.float64]], confidence: float) -> tuple[float, float]:
    defined = np.concatenate(drawn)
    defined = defined[~np.isnan(defined)]
    if not len(defined):
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    # An order statistic: interpolation between a number and infinity is not defined.
    low, high = np.quantile(defined, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)

"""Intervals over images: of areas and ratios by resampling, of medians and means in closed form.

The resampling is a Bayesian bootstrap (Rubin 1981): each image has a random weight, so that a
figure is a function of weights, and a whole block of resamples is one matrix. Figures of one
resampling move together, as they do in truth: two networks that were tested on the same images can
be compared image by image. Where values have two ends, as an area under accuracy has, half an
observation at each end is mixed in. Without it all intervals shrink to a point where every image
lies at one end, which a percentile bootstrap (Efron 1979) does; with it the interval of a share is
that of Jeffreys' prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import quantile_test, t

from robench.errors import InputError

__all__ = [
    "Figure",
    "Statistic",
    "Weights",
    "bootstrap",
    "mean",
    "mean_figure",
    "median",
    "median_figure",
    "ratio_of_bounded_means",
    "total",
]

Weights: TypeAlias = "NDArray[np.float64]"
"""How much each image counts, in each of some resamples, [R, N]."""
Statistic: TypeAlias = Callable[[Weights], "NDArray[np.float64]"]
"""From weights [R, N] to the statistic of each resample, [R]."""

_BLOCK = 2**22
"""Weights that are held in memory at a time."""


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
    ends: int = 0,
    end_weight: float = 0.5,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> dict[str, Figure]:
    """Bayesian bootstrap intervals of several statistics of one sample (Rubin 1981).

    Args:
        statistics: by name; all of them see the same resamples.
        n: images in the sample.
        seed: of the resampling.
        ends: how many pseudo-observations follow the images: the statistics see weights
            [R, n + ends]. In the statistic of the sample itself they have no weight.
        end_weight: mean weight of a pseudo-observation; that of an image is 1.
        resamples: how many.
        confidence: in (0, 1).

    Returns:
        By name the statistic of the sample itself, and its interval; NaN bounds where the sample
        itself has no such statistic. A resample in which a statistic is not defined could have any
        value: where these are too many, the interval has no end.

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
        for weights in _resamples(_Draw(n, ends, end_weight, seed), resamples):
            for name, statistic in statistics.items():
                drawn[name].append(statistic(weights))
        itself = np.concatenate([np.ones((1, n)), np.zeros((1, ends))], axis=1)
        return {
            name: _figure(float(statistic(itself)[0]), drawn[name], confidence)
            for name, statistic in statistics.items()
        }


def ratio_of_bounded_means(
    a: ArrayLike, b: ArrayLike, limit: float, seed: int, *, resamples: int = 1000
) -> Figure:
    """The mean of `a` over that of `b`, of the same images, with a 95 % interval.

    The interval is the same whether ratios or their logarithms are resampled. The four corners
    that two values can lie in are pseudo-observations of a quarter each.

    Args:
        a: [N], from 0 to `limit`.
        b: the same.
        limit: the largest value there can be.
        seed: of the resampling.
        resamples: how many.
    """
    values = [
        np.concatenate([np.asarray(given, dtype=np.float64), limit * np.array(corner)])
        for given, corner in ((a, (0, 0, 1, 1)), (b, (0, 1, 0, 1)))
    ]

    def ratio(weights: Weights) -> NDArray[np.float64]:
        return np.asarray(mean(values[0], weights) / mean(values[1], weights), dtype=np.float64)

    found = bootstrap(
        {"ratio": ratio}, len(values[0]) - 4, seed, ends=4, end_weight=0.25, resamples=resamples
    )
    return found["ratio"]


def median_figure(
    values: NDArray[np.float64], *, lower: bool = False, confidence: float = 0.95
) -> Figure:
    """The median with its interval by order statistics, which holds for every distribution.

    Fewer than six values have no interval of 95 %: all of them lie on one side of the median in
    more than one of twenty samples. Such bounds are NaN.

    Args:
        values: [N], may be infinite.
        lower: of an even number of values, the lower of the two in the middle, and not their mean.
        confidence: in (0, 1).
    """
    if not len(values):
        return Figure(math.nan, math.nan, math.nan)
    value = float(median(values, np.ones((1, len(values))), lower=lower)[0])
    found: Any = quantile_test(np.sort(values), q=0, p=0.5).confidence_interval(confidence)
    return Figure(value, float(found.low), float(found.high))


def mean_figure(values: NDArray[np.float64], *, confidence: float = 0.95) -> Figure:
    """The mean of values from 0 without an upper end, with Student's t interval of its logarithm.

    Distances are skewed: the plain t interval misses a large mean too often. It has no bounds where
    the values do not differ, which says nothing of those to come, or where the mean is 0 or not
    finite.

    Args:
        values: [N], none of them negative.
        confidence: in (0, 1).
    """
    if not len(values):
        return Figure(math.nan, math.nan, math.nan)
    if not np.isfinite(values).all():
        return Figure(math.inf, math.nan, math.nan)
    value, n = float(values.mean()), len(values)
    if n < 2 or np.ptp(values) == 0:
        return Figure(value, math.nan, math.nan)
    error = float(values.std(ddof=1)) / math.sqrt(n) / value
    factor = math.exp(float(t.ppf((1 + confidence) / 2, n - 1)) * error)
    return Figure(value, value / factor, value * factor)


def mean(values: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """The mean of `values` [N] in each resample; NaN where none of them weights."""
    finite = np.isfinite(values)
    sums = weights @ np.where(finite, values, 0)
    if not finite.all():
        sums[weights @ ~finite > 0] = np.inf
    return np.asarray(sums / total(weights), dtype=np.float64)


def median(
    values: NDArray[np.float64], weights: Weights, *, lower: bool = False
) -> NDArray[np.float64]:
    """The median of `values` [N] in each resample; NaN where none of them weights.

    Args:
        values: may be infinite.
        weights: [R, N].
        lower: of an even number of values, the lower of the two in the middle, and not their mean.
    """
    size = total(weights)
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    # Up to and including each value, how much weight there is.
    reached = np.take(weights, order, axis=1)
    np.cumsum(reached, axis=1, out=reached)
    ordered = values[order]
    half = size[:, None] / 2
    low = ordered[np.argmax(reached >= half, axis=1)]
    if lower:
        return np.where(size > 0, low, np.nan)
    high = ordered[np.argmax(reached > half, axis=1)]
    # Infinity minus infinity is not defined; their mean is.
    middle = np.where(low == high, low, low / 2 + high / 2)
    return np.where(size > 0, middle, np.nan)


def total(weights: Weights) -> NDArray[np.float64]:
    """The weight of each resample, [R]."""
    return np.asarray(weights.sum(axis=1), dtype=np.float64)


class _Draw(NamedTuple):
    """What resamples depend on."""

    n: int
    ends: int
    end_weight: float
    seed: int

    def weights(self, blocks: Iterator[int]) -> Iterator[Weights]:
        """Weights [r, n + ends] for each of these numbers of rows; how they are cut is no matter.

        Normalised they would be draws of a Dirichlet distribution: sums of weights cancel.
        """
        images, ends = (np.random.default_rng([self.seed, place]) for place in (0, 1))
        for rows in blocks:
            yield np.concatenate(
                [
                    images.standard_exponential((rows, self.n)),
                    ends.standard_gamma(self.end_weight, (rows, self.ends)),
                ],
                axis=1,
            )


def _resamples(draw: _Draw, resamples: int) -> Iterator[Weights]:
    """Blocks of weights [r, n + ends], `resamples` rows in all."""
    rows = max(1, min(resamples, _BLOCK // (draw.n + draw.ends)))
    if rows == resamples:
        yield _drawn_once(draw, resamples)
        return
    starts = range(0, resamples, rows)
    yield from draw.weights(min(rows, resamples - start) for start in starts)


@lru_cache(maxsize=2)
def _drawn_once(draw: _Draw, resamples: int) -> Weights:
    """To draw takes longer than most statistics, and networks are tested on the same images."""
    (weights,) = draw.weights(iter([resamples]))
    weights.flags.writeable = False
    return weights


def _figure(value: float, drawn: list[NDArray[np.float64]], confidence: float) -> Figure:
    if math.isnan(value):
        return Figure(value, math.nan, math.nan)
    of_all = np.concatenate(drawn)
    undefined, tail = np.isnan(of_all), (1 - confidence) / 2
    # An order statistic: interpolation between a number and infinity is not defined.
    low, high = (
        float(np.quantile(np.where(undefined, worst, of_all), at, method="inverted_cdf"))
        for worst, at in ((-np.inf, tail), (np.inf, 1 - tail))
    )
    return Figure(value, low, high)

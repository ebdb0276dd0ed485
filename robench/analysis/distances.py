"""Is a sparse network attacked more easily than its dense parent? On the same images, pair by pair.

The median distance of two networks over the images that each gets right is about two sets of
images: a network that is wrong more often is asked about easier ones. So there are two comparisons:
of all images, in which a wrong answer is a distance of zero, and of the images that both get right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from robench.errors import InputError
from robench.stats.intervals import student_t
from robench.stats.resampling import (
    Figure,
    Weights,
    bootstrap,
    median,
    ratio_of_bounded_means,
)
from robench.stats.sign_test import sign_test

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Attacked", "DistanceComparison", "compare_distances"]

Over = Literal["all", "both-correct"]

LEAST_IMAGES = 6
"""Images that an interval of a ratio of medians asks for: the median of fewer has none of 95 %."""


@dataclass(frozen=True)
class Attacked:
    """How far the images of one network had to be pushed.

    Args:
        index: position of each image in its data set, int64 [N], each once.
        distance: float64 [N]; 0 for misclassified images, infinite where no adversarial was found.
        correct: whether the network puts the image in its class, bool [N].

    Raises:
        InputError: arrays of different lengths, an image twice, or a negative distance.
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float64]
    correct: NDArray[np.bool_]

    def __post_init__(self) -> None:
        index, distance = np.asarray(self.index), np.asarray(self.distance, dtype=np.float64)
        correct = np.asarray(self.correct)
        is_sound = (
            index.ndim == 1
            and index.shape == distance.shape == correct.shape
            and len(np.unique(index)) == len(index)
            and (distance >= 0).all()
            and np.isin(correct, (0, 1)).all()
        )
        if not is_sound:
            raise InputError(
                f"{index.shape} positions, {distance.shape} distances and {correct.shape} answers "
                "cannot be told apart image by image",
                allowed="one of each for every image, each image once, distances from 0 and no "
                "NaN, answers that are true or false",
            )
        # Lists, and flags that were stored as numbers, are read alike.
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "distance", distance)
        object.__setattr__(self, "correct", correct.astype(bool))

    def at(self, index: ArrayLike) -> Attacked:
        """The same for some of the images, in this order."""
        order = np.argsort(self.index)
        rows = order[np.searchsorted(self.index, index, sorter=order)]
        return Attacked(self.index[rows], self.distance[rows], self.correct[rows])


@dataclass(frozen=True)
class DistanceComparison:
    """One network against another on the same images.

    Figures above 1 say that the first must be pushed further. One that is not finite does not
    exist: a geometric mean, for instance, where a distance is zero or infinite in one network; its
    bounds are NaN then. Bounds are NaN, too, where the images leave everything open, and infinite
    where they leave one side open.

    Attributes:
        over: ``"all"`` images, or those that ``"both-correct"``.
        n: how many images that are.
        ratio_of_medians: median distance of the first over that of the second.
        ratio_of_areas: the same of the areas under the curves of robust accuracy.
        geometric_mean_ratio: exp of the mean of ``log(first / second)``, image by image; an image
            that both misclassify is as near in both.
        further: images that the first must be pushed further.
        nearer: images that it must be pushed less far; the others tie.
        p_value: of the two-sided sign test (binomial, ties left out); 1 where all tie.
    """

    over: Over
    n: int
    ratio_of_medians: Figure
    ratio_of_areas: Figure
    geometric_mean_ratio: Figure
    further: int
    nearer: int
    p_value: float


def compare_distances(
    first: Attacked,
    second: Attacked,
    *,
    limit: float,
    over: Over = "all",
    seed: int = 0,
    resamples: int = 1000,
) -> DistanceComparison | None:
    """Compare two networks, with 95 % intervals that treat both at the same images alike.

    Ratios of areas and of medians have intervals of a Bayesian bootstrap over images, the geometric
    mean Student's t interval of its logarithm.

    Args:
        first: the sparse network, say.
        second: its dense parent of the same seed.
        limit: up to which radius areas are taken, finite and above 0.
        over: which images count.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        `None` where no image counts.

    Raises:
        InputError: the networks were attacked at different images, or there is no such limit.
    """
    if not 0 < limit < np.inf:
        raise InputError(f"limit is {limit}", allowed="a finite radius above 0")
    alike = len(first.index) == len(second.index) and np.isin(first.index, second.index).all()
    if not alike:
        raise InputError(
            f"{len(first.index)} and {len(second.index)} images, which are not the same",
            allowed="networks that were attacked at the same images",
        )
    second = second.at(first.index)
    kept = np.asarray(first.correct & second.correct)
    if over == "all":
        kept = np.ones_like(kept)
    if not kept.any():
        return None
    a, b = first.distance[kept], second.distance[kept]
    further, nearer = int((a > b).sum()), int((a < b).sum())
    return DistanceComparison(
        over=over,
        n=len(a),
        ratio_of_medians=_ratio_of_medians(a, b, seed, resamples),
        ratio_of_areas=ratio_of_bounded_means(
            np.minimum(a, limit), np.minimum(b, limit), limit, seed, resamples=resamples
        ),
        geometric_mean_ratio=_geometric_mean(_log_ratios(a, b)),
        further=further,
        nearer=nearer,
        p_value=sign_test(further, nearer),
    )


def _ratio_of_medians(
    a: NDArray[np.float64], b: NDArray[np.float64], seed: int, resamples: int
) -> Figure:
    def ratio(weights: Weights) -> NDArray[np.float64]:
        return np.asarray(median(a, weights) / median(b, weights), dtype=np.float64)

    found = bootstrap({"ratio": ratio}, len(a), seed, resamples=resamples)["ratio"]
    if len(a) < LEAST_IMAGES or not np.isfinite(found.value):
        return Figure(found.value, np.nan, np.nan)
    # A ratio that is not defined in some resamples may be as small as 0.
    return found._replace(low=max(found.low, 0.0))


def _geometric_mean(log_ratios: NDArray[np.float64]) -> Figure:
    # NaN, unlike infinity, where a distance is zero or infinite on one side: there is no mean.
    if not np.isfinite(log_ratios).all():
        return Figure(np.nan, np.nan, np.nan)
    found = student_t(np.exp(log_ratios), geometric=True)
    # Images that all tell the same say nothing of how others would differ.
    if found.value is None or found.low is None or found.high is None or np.ptp(log_ratios) == 0:
        return Figure(float(np.exp(log_ratios.mean())), np.nan, np.nan)
    return Figure(found.value, found.low, found.high)


def _log_ratios(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(a == b, 0.0, np.log(a) - np.log(b))

"""Is a sparse network attacked more easily than its dense parent? On the same images, pair by pair.

The median distance of two networks over the images that each gets right is about two sets of
images: a network that is wrong more often is asked about easier ones. So there are two comparisons:
of all images, in which a wrong answer is a distance of zero, and of the images that both get right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import binomtest

from robench.attacks.resampling import Counts, Figure, bootstrap, mean, median
from robench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Attacked", "DistanceComparison", "compare_distances"]

Over = Literal["all", "both-correct"]


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
        index, distance = np.asarray(self.index), np.asarray(self.distance)
        is_sound = index.ndim == 1 and index.shape == distance.shape == np.shape(self.correct)
        if not is_sound or len(np.unique(index)) < len(index) or not (distance >= 0).all():
            raise InputError(
                f"{index.shape} positions, {distance.shape} distances and "
                f"{np.shape(self.correct)} answers cannot be told apart image by image",
                allowed="one of each for every image, each image once, distances from 0",
            )

    def at(self, index: ArrayLike) -> Attacked:
        """The same for some of the images, in this order."""
        order = np.argsort(self.index)
        rows = order[np.searchsorted(self.index, index, sorter=order)]
        return Attacked(self.index[rows], self.distance[rows], self.correct[rows])


@dataclass(frozen=True)
class DistanceComparison:
    """One network against another on the same images.

    Figures above 1 say that the first must be pushed further. One that is not finite does not
    exist: a geometric mean, for instance, where a distance is zero or infinite in one network.

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
    """Compare two networks, with bootstrap intervals that resample both at the same images.

    Args:
        first: the sparse network, say.
        second: its dense parent of the same seed.
        limit: up to which radius areas are taken.
        over: which images count.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Returns:
        `None` where no image counts.

    Raises:
        InputError: the networks were attacked at different images.
    """
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
    found = bootstrap(
        {
            "medians": partial(_ratio_of_medians, a, b),
            "areas": partial(_ratio_of_means, np.minimum(a, limit), np.minimum(b, limit)),
            "images": partial(_geometric_mean, _log_ratios(a, b)),
        },
        len(a),
        seed,
        resamples=resamples,
    )
    further, nearer = int((a > b).sum()), int((a < b).sum())
    different = further + nearer
    return DistanceComparison(
        over=over,
        n=len(a),
        ratio_of_medians=found["medians"],
        ratio_of_areas=found["areas"],
        geometric_mean_ratio=found["images"],
        further=further,
        nearer=nearer,
        p_value=float(binomtest(further, different).pvalue) if different else 1.0,
    )


def _ratio_of_medians(
    a: NDArray[np.float64], b: NDArray[np.float64], counts: Counts
) -> NDArray[np.float64]:
    return np.asarray(median(a, counts) / median(b, counts), dtype=np.float64)


def _ratio_of_means(
    a: NDArray[np.float64], b: NDArray[np.float64], counts: Counts
) -> NDArray[np.float64]:
    return np.asarray(mean(a, counts) / mean(b, counts), dtype=np.float64)


def _geometric_mean(log_ratios: NDArray[np.float64], counts: Counts) -> NDArray[np.float64]:
    # NaN, unlike infinity, where a distance is zero or infinite on one side: there is no mean.
    known = np.isfinite(log_ratios)
    sums = mean(np.where(known, log_ratios, 0), counts)
    return np.where(counts @ ~known > 0, np.nan, np.exp(sums))


def _log_ratios(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(a == b, 0.0, np.log(a) - np.log(b))

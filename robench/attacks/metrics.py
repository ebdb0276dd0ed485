"""Numbers that sum up distances: each convention under its own name.

Distances are those of `robench.minimal_l2`: 0 for misclassified images, infinite where no
adversarial was found. All functions take anything that numpy reads as an array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robench.errors import InputError

__all__ = [
    "Interval",
    "accuracy_at",
    "area_under_accuracy",
    "bootstrap_median",
    "clean_accuracy",
    "mean_distance",
    "mean_distance_of_correct",
    "median_distance",
    "rho_adv_of_correct",
    "rho_adv_of_estimates",
]


class Interval(NamedTuple):
    """Lower and upper bound."""

    low: float
    high: float


def clean_accuracy(correct: ArrayLike) -> float:
    """Share of images that the model puts in their class."""
    return float(np.mean(np.asarray(correct, dtype=bool)))


def accuracy_at(distance: ArrayLike, radii: ArrayLike) -> NDArray[np.float64]:
    """Share of images whose distance exceeds each radius: the curve of robust accuracy.

    Args:
        distance: [N].
        radii: [R], in units of `distance`; at 0 the curve is the clean accuracy.
    """
    ordered = np.sort(_distances(distance))
    inside = np.searchsorted(ordered, np.asarray(radii, dtype=np.float64), side="right")
    return np.asarray(1 - inside / len(ordered), dtype=np.float64)


def area_under_accuracy(distance: ArrayLike, limit: float) -> float:
    """Area under the curve of robust accuracy from radius 0 to `limit`.

    It is exactly the mean of ``min(distance, limit)``; divided by `limit` it lies in [0, 1]. An
    image for which no adversarial was found counts as `limit`.
    """
    if not 0 < limit < np.inf:
        raise InputError(f"limit is {limit}", allowed="a finite radius above 0")
    return float(np.minimum(_distances(distance), limit).mean())


def median_distance(distance: ArrayLike, correct: ArrayLike) -> float:
    """Median over the images that the model puts in their class; NaN if there is none."""
    values = _of_correct(distance, correct)
    return float(np.median(values)) if len(values) else float("nan")


def mean_distance(distance: ArrayLike) -> float:
    """Mean over all images, in which a misclassified one counts as 0."""
    return float(_distances(distance).mean())


def mean_distance_of_correct(distance: ArrayLike, correct: ArrayLike) -> float:
    """Mean over the images that the model puts in their class; NaN if there is none."""
    values = _of_correct(distance, correct)
    return float(values.mean()) if len(values) else float("nan")


def rho_adv_of_correct(distance: ArrayLike, norm: ArrayLike, correct: ArrayLike) -> float:
    """Mean of distance over length of the image, over the images put in their class.

    Args:
        distance: [N], usually in the box.
        norm: Euclidean length of each image, [N]; an image of length 0 is left out.
        correct: bool [N].
    """
    kept = np.asarray(correct, dtype=bool)
    return rho_adv_of_estimates(_distances(distance)[kept], np.asarray(norm)[kept])


def rho_adv_of_estimates(distance: ArrayLike, norm: ArrayLike) -> float:
    """Mean of distance over length of the image, over all images: the rho_adv of DeepFool.

    Moosavi-Dezfooli et al. 2016 change the *estimated* class of every image, misclassified ones
    too, without a box: take the distances of ``DeepFool()(model, images, None, box=False)``.

    Args:
        distance: [N].
        norm: Euclidean length of each image, [N]; an image of length 0 is left out.
    """
    values, length = _distances(distance, empty=True), np.asarray(norm, dtype=np.float64)
    kept = length > 0
    return float(np.mean(values[kept] / length[kept])) if kept.any() else float("nan")


def bootstrap_median(
    distance: ArrayLike,
    correct: ArrayLike,
    generator: np.random.Generator,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
) -> Interval:
    """Percentile bootstrap interval of `median_distance`, over images, for one fixed model.

    Args:
        distance: [N].
        correct: bool [N].
        generator: source of the resampling.
        confidence: in (0, 1).
        resamples: number of bootstrap samples.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}", allowed="between 0 and 1")
    values = _of_correct(distance, correct)
    if not len(values):
        return Interval(float("nan"), float("nan"))
    medians = [np.median(generator.choice(values, len(values))) for _ in range(resamples)]
    tail = (1 - confidence) / 2
    # An order statistic: interpolation between a number and infinity is not defined.
    low, high = np.quantile(medians, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high))


def _distances(distance: ArrayLike, *, empty: bool = False) -> NDArray[np.float64]:
    values = np.asarray(distance, dtype=np.float64)
    if values.ndim != 1 or not (len(values) or empty) or not (values >= 0).all():
        raise InputError(
            f"distances have the shape {values.shape} and the smallest is "
            f"{values.min() if values.size else 'missing'}",
            allowed="[N] with N > 0, none of them negative or NaN",
        )
    return values


def _of_correct(distance: ArrayLike, correct: ArrayLike) -> NDArray[np.float64]:
    values: NDArray[np.float64] = _distances(distance)[np.asarray(correct, dtype=bool)]
    return values

"""Numbers that sum up distances: each convention under its own name.

Distances are those of `robench.minimal_l2`: 0 for misclassified images, infinite where no
adversarial was found. A mean or a median that such images make infinite does not exist; the area
under the curve always does.

| name | of which images | what |
| --- | --- | --- |
| ``median_l2`` | correct ones | median |
| ``eps_50`` | all | smallest radius at which accuracy is at most half of the clean one |
| ``l2_area`` | all | mean of ``min(distance, E)``: area under accuracy against radius up to E |
| ``l2_area_share`` | all | the same over E: mean accuracy up to E, in [0, 1] |
| ``l2_area_of_correct`` | correct ones | mean of ``min(distance, E)`` |
| ``mean_l2`` | all, misclassified ones as 0 | mean |
| ``mean_l2_of_correct`` | correct ones | mean |
| ``mean_l2_normalised`` | all, misclassified ones as 0 | mean of distance over length of image |
| ``rho_adv`` | correct ones | mean of distance over length of image |

The last four are the readings of r_2, the mean distance of Guo et al. 2018 (arXiv 1810.09619): raw
or divided by the length of the image, with misclassified images as zero or left out. The rho_adv of
DeepFool's authors is another number: of all images and estimated labels, without a box; see
`rho_adv_of_estimates`. Here it is ``rho_adv_deepfool``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robench.errors import InputError
from robench.stats.resampling import (
    Figure,
    Statistic,
    Weights,
    bootstrap,
    mean,
    mean_figure,
    median_figure,
)

__all__ = [
    "Distances",
    "accuracy_at",
    "area_under_accuracy",
    "median_distance",
    "rho_adv_of_estimates",
    "robust_accuracy",
]


@dataclass(frozen=True, eq=False)
class Distances:
    """The distances of one network.

    Args:
        distance: float64 [N], none of them negative or NaN.
        correct: whether the network puts the image in its class, bool [N].
        norm: Euclidean length of each image, float64 [N]; where a distance is divided by it, an
            image of length 0 is left out.
        of_estimates: DeepFool's distances without a box, for estimated labels, float64 [N].

    Raises:
        InputError: distances that are negative or NaN, none at all, or arrays of other lengths.
    """

    distance: NDArray[np.float64]
    correct: NDArray[np.bool_]
    norm: NDArray[np.float64]
    of_estimates: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        others = [self.correct, self.norm]
        if self.of_estimates is not None:
            others.append(_checked(self.of_estimates))
        if any(other.shape != _checked(self.distance).shape for other in others):
            raise InputError(
                f"{len(self.distance)} distances beside arrays of {[len(a) for a in others]}",
                allowed="one value for every image in each",
            )

    def figures(self, limit: float, seed: int, *, resamples: int = 1000) -> dict[str, Figure]:
        """Every convention with its 95 % interval over images.

        Of areas, whose images lie between 0 and E, by a Bayesian bootstrap that all of them share;
        of medians by order statistics; of means by Student's t of their logarithm.

        Args:
            limit: E, the radius up to which areas are taken.
            seed: of the resampling.
            resamples: of the bootstrap.

        Returns:
            By the names in the table above; ``rho_adv_deepfool`` where `of_estimates` is given.
        """
        n, correct = len(self.distance), self.correct
        areas = bootstrap(self._areas(limit), n, seed, ends=2, resamples=resamples)
        relative, has_length = _relative(self.distance, self.norm), self.norm > 0
        found = {
            "median_l2": median_figure(self.distance[correct]),
            "eps_50": median_figure(self.distance[correct], lower=True),
            **areas,
            "mean_l2": mean_figure(self.distance),
            "mean_l2_of_correct": mean_figure(self.distance[correct]),
            "mean_l2_normalised": mean_figure(relative[has_length]),
            "rho_adv": mean_figure(relative[has_length & correct]),
        }
        if self.of_estimates is not None:
            of_estimates = _relative(self.of_estimates, self.norm)
            found["rho_adv_deepfool"] = mean_figure(of_estimates[has_length])
        return found

    def _areas(self, limit: float) -> Mapping[str, Statistic]:
        # The two ends are pseudo-observations: an image at distance 0, and one past the limit.
        capped = np.concatenate([_capped(self.distance, limit), [0, limit]])
        counted = np.concatenate([self.correct, [True, True]])
        return {
            "l2_area": partial(mean, capped),
            "l2_area_share": partial(mean, capped / limit),
            "l2_area_of_correct": partial(_mean_over, capped, counted),
        }


def robust_accuracy(distance: ArrayLike, radii: ArrayLike) -> NDArray[np.float64]:
    """Robust accuracy at each radius: the share of images whose distance exceeds it.

    Args:
        distance: [N].
        radii: [R], in units of `distance`; at radius 0 it is the clean accuracy.

    Returns:
        float64 [R], each in [0, 1].

    Raises:
        InputError: distances that are negative or NaN, or none at all.
    """
    ordered = np.sort(_checked(distance))
    inside = np.searchsorted(ordered, np.asarray(radii, dtype=np.float64), side="right")
    return np.asarray(1 - inside / len(ordered), dtype=np.float64)


def accuracy_at(distance: ArrayLike, radii: ArrayLike) -> NDArray[np.float64]:
    """The former name of `robust_accuracy`; it will be removed in 0.3."""
    warnings.warn(
        "accuracy_at() is called robust_accuracy() now; the old name goes with 0.3",
        DeprecationWarning,
        stacklevel=2,
    )
    return robust_accuracy(distance, radii)


def area_under_accuracy(distance: ArrayLike, limit: float) -> float:
    """Area under the curve of robust accuracy from radius 0 to `limit`.

    It is exactly the mean of ``min(distance, limit)``; divided by `limit` it lies in [0, 1]. An
    image for which no adversarial was found counts as `limit`.
    """
    return float(_capped(_checked(distance), limit).mean())


def median_distance(distance: ArrayLike, correct: ArrayLike) -> float:
    """Median over the images that the model puts in their class; NaN if there is none."""
    values = _checked(distance)[np.asarray(correct, dtype=bool)]
    return float(np.median(values)) if len(values) else float("nan")


def rho_adv_of_estimates(distance: ArrayLike, norm: ArrayLike) -> float:
    """Mean of distance over length of the image, over all images: the rho_adv of DeepFool.

    Moosavi-Dezfooli et al. 2016 change the *estimated* class of every image, misclassified ones
    too, without a box: take the distances of ``DeepFool()(model, images, None, box=False)``.

    Args:
        distance: [N].
        norm: Euclidean length of each image, [N]; an image of length 0 is left out.
    """
    values, length = _checked(distance), np.asarray(norm, dtype=np.float64)
    kept = length > 0
    return float(np.mean(values[kept] / length[kept])) if kept.any() else float("nan")


def _checked(distance: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(distance, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not (values >= 0).all():
        raise InputError(
            f"distances have the shape {values.shape} and the smallest is "
            f"{values.min() if values.size else 'missing'}",
            allowed="[N] with N > 0, none of them negative or NaN",
        )
    return values


def _capped(distance: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    if not 0 < limit < np.inf:
        raise InputError(f"limit is {limit}", allowed="a finite radius above 0")
    return np.minimum(distance, limit)


def _relative(distance: NDArray[np.float64], norm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(distance, norm, out=np.zeros_like(distance), where=norm > 0)


def _mean_over(
    values: NDArray[np.float64], only: NDArray[np.bool_], weights: Weights
) -> NDArray[np.float64]:
    return mean(values[only], weights[:, only])

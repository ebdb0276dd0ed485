"""The corruption errors of Hendrycks and Dietterich 2019 (arXiv 1903.12261).

They compare the errors of a network, kind by kind, with those of a reference, so that no kind
counts more for being harder. A figure is an mCE only where the reference is the published one,
AlexNet on the fifteen common kinds of the files of ImageNet-C; elsewhere it has to be named.

AlexNet errs on hundreds of images of each kind. A dense network on small images often errs on one,
and a mean of ratios over kinds is then ruled by chance: against such a reference errors are summed
before they are divided, by `error_ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from robench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "ALEXNET_CLEAN_ERROR",
    "ALEXNET_ERRORS",
    "LEAST_ERRORS",
    "error_ratio",
    "mean_corruption_error",
]

ALEXNET_ERRORS: Mapping[str, float] = MappingProxyType(
    {
        "gaussian-noise": 0.886428,
        "shot-noise": 0.894468,
        "impulse-noise": 0.922640,
        "defocus-blur": 0.819880,
        "glass-blur": 0.826268,
        "motion-blur": 0.785948,
        "zoom-blur": 0.798360,
        "snow": 0.866816,
        "frost": 0.826572,
        "fog": 0.819324,
        "brightness": 0.564592,
        "contrast": 0.853204,
        "elastic-transform": 0.646056,
        "pixelate": 0.717840,
        "jpeg-compression": 0.606500,
    }
)
"""AlexNet's error on each kind of ImageNet-C, the mean over severities, as published."""

ALEXNET_CLEAN_ERROR = 1 - 0.56522
"""The error that torchvision states for its AlexNet on the clean validation set of ImageNet."""

LEAST_ERRORS = 20
"""Wrong answers of the reference, over all conditions, below which no error is divided by its own.
The logarithm of a ratio over k errors has a standard error of 1/√k at least: with 20 of them a
network that is exactly as good is said to be between 0.65 and 1.55 times as bad."""

_Z = 1.959963984540054
"""Of a 95 % interval."""


def error_ratio(errors: ArrayLike, reference: ArrayLike, n: int) -> tuple[float, float, float]:
    """The summed errors of a network over those of a reference, with an interval of the logarithm.

    Only shares of errors are known here, and not which images they are on. The interval takes the
    errors of all conditions as errors on the same images, and those of the two networks as
    independent: it is wider than one that compares image by image.

    Args:
        errors: share of wrong answers in each condition, in [0, 1], [C].
        reference: the same of the reference, in the same order.
        n: images in each condition, the same ones in all.

    Returns:
        The ratio and the bounds of its 95 % interval; of no errors at all 0 without bounds, and NaN
        where the reference makes none.

    Raises:
        InputError: lists of different lengths, none at all, no images, or what is no share.
    """
    own, other = (np.asarray(given, dtype=np.float64) for given in (errors, reference))
    shares = np.concatenate([own.ravel(), other.ravel()])
    is_sound = own.ndim == 1 and own.shape == other.shape and own.size > 0 and n > 0
    if not is_sound or not ((shares >= 0) & (shares <= 1)).all():
        raise InputError(
            f"{own.tolist()} over {other.tolist()} on {n} images",
            allowed="two flat lists of one length, of shares of errors in [0, 1], and an image",
        )
    if other.sum() == 0:
        return math.nan, math.nan, math.nan
    ratio = float(own.sum() / other.sum())
    if ratio == 0:
        return 0.0, math.nan, math.nan
    # The standard deviation of a sum is at most the sum of the standard deviations.
    relative = [
        float(np.sqrt(share * (1 - share)).sum() / share.sum()) / math.sqrt(n)
        for share in (own, other)
    ]
    factor = math.exp(_Z * math.hypot(*relative))
    return ratio, ratio / factor, ratio * factor


def mean_corruption_error(
    errors: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    clean_error: float | None = None,
    reference_clean_error: float | None = None,
) -> float | None:
    """The mean over kinds of the error divided by the reference's.

    It is meant for a reference such as AlexNet, which errs on many images of each kind; see
    `error_ratio` for others. With both clean errors it is the relative one: by how much more the
    network errs on corrupted images than on clean ones, divided by the same of the reference.

    Args:
        errors: kind → error in [0, 1], the mean over severities.
        reference: the same of the reference, for the same kinds.
        clean_error: the network's error on clean images.
        reference_clean_error: the reference's.

    Returns:
        1 for a network as good as the reference, less for a better one; `None` where the reference
        errs on no image of a kind, or does not err more on it than on clean images.

    Raises:
        InputError: no kinds, other kinds, or one clean error alone.
    """
    if not errors or errors.keys() != reference.keys():
        raise InputError(
            f"errors on {', '.join(errors) or 'nothing'} against errors on "
            f"{', '.join(reference) or 'nothing'}",
            allowed="the same kinds for both, at least one",
        )
    if (clean_error is None) != (reference_clean_error is None):
        raise InputError("one clean error alone", allowed="both clean errors, or none")
    own_zero, zero = clean_error or 0.0, reference_clean_error or 0.0
    if any(error <= zero for error in reference.values()):
        return None
    ratios = [(errors[kind] - own_zero) / (reference[kind] - zero) for kind in errors]
    return sum(ratios) / len(ratios)

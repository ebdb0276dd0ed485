"""How many times as often one network errs as another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from robench.errors import InputError
from robench.stats.proportion import NORMAL_95

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["LEAST_ERRORS", "error_ratio"]

LEAST_ERRORS = 20
"""Wrong answers of the reference, over all conditions, below which no error is divided by its own.
The logarithm of a ratio over k errors has a standard error of 1/√k at least: with 20 of them a
network that is exactly as good is said to be between 0.65 and 1.55 times as bad."""


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
    factor = math.exp(NORMAL_95 * math.hypot(*relative))
    return ratio, ratio / factor, ratio * factor

"""Two networks on the same images: how much better one is, and whether that is more than chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from robench.errors import InputError
from robench.stats.intervals import check_confidence, tango_interval
from robench.stats.trials import Columns, Trials, paired_trials, trials

__all__ = ["difference_by_image", "trials"]


def difference_by_image(
    a: Trials, b: Trials, *, confidence: float = 0.95, **columns: str
) -> pd.DataFrame:
    """Accuracy of one network less that of another, on the same images, for each condition.

    Args:
        a: trials, as of `trials`; a missing answer is wrong.
        b: those of the other network, in any order.
        confidence: of the interval, in (0, 1).
        columns: names of columns that differ from ``image``, ``condition``, ``answer``, ``label``
            and ``correct``, as for `robench.error_consistency`.

    Returns:
        One row a condition, in order of appearance: ``condition``, ``n`` (images that both saw),
        ``left_out`` (images that only one of them saw, which do not count), ``a_alone`` and
        ``b_alone`` (images that only the one got right), ``difference`` with ``low`` and ``high``,
        Tango's score interval for paired shares, and ``p``, of the exact test of McNemar 1947 that
        neither is better; 1 where they are right on the same images. The interval holds 0 wherever
        the exact test does not reject at its level. A condition that only one network saw has
        ``n`` 0 and no difference.

    Raises:
        InputError: a column that is missing, an image twice in a condition, an image with two true
            classes, or nothing that both saw.
    """
    check_confidence(confidence)
    paired = paired_trials(a, b, Columns(**columns))
    shared = paired["in_a"] & paired["in_b"]
    if not shared.any():
        raise InputError(
            "the two networks have no image and condition in common",
            allowed="tables in which some images and conditions are the same, types included",
        )
    alone = pd.DataFrame(
        {
            "condition": paired["condition"],
            "n": shared,
            "left_out": ~shared,
            "a_alone": shared & paired["a"] & ~paired["b"],
            "b_alone": shared & paired["b"] & ~paired["a"],
        }
    )
    counted = alone.groupby("condition", sort=False).sum().astype(np.int64).reset_index()
    n, a_alone, b_alone = (counted[name].to_numpy() for name in ("n", "a_alone", "b_alone"))
    counted["difference"] = np.divide(
        a_alone - b_alone, n, out=np.full(len(n), np.nan), where=n > 0
    )
    p = _mcnemar(a_alone, b_alone)
    low, high = tango_interval(a_alone, b_alone, n, confidence=confidence)
    # The exact test is the more careful of the two where few trials differ.
    undecided = p > 1 - confidence
    counted["low"] = np.where(undecided, np.minimum(low, 0), low)
    counted["high"] = np.where(undecided, np.maximum(high, 0), high)
    return counted.assign(p=np.where(n > 0, p, np.nan))


def _mcnemar(a_alone: np.ndarray, b_alone: np.ndarray) -> np.ndarray:
    """Two-sided p-values of the exact test: the images that differ are tosses of a fair coin."""
    return np.array(
        [
            binomtest(int(first), int(first + second)).pvalue if first + second else 1.0
            for first, second in zip(a_alone, b_alone, strict=True)
        ]
    )

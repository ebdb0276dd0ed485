"""Intervals of a proportion; imported by what must not import numpy."""

from __future__ import annotations

import math

__all__ = ["NORMAL_95", "wilson_interval"]

NORMAL_95 = 1.959963984540054
"""Quantile of the standard normal distribution that leaves 2.5 % above it."""


def wilson_interval(successes: float, n: float, z: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927): inside [0, 1] even at 0 and 1.

    Args:
        successes: how many of the trials succeeded, 0 … n; of a mean share, share times `n`.
        n: how many trials; none at all leave the proportion anywhere in [0, 1].
        z: quantile of the standard normal distribution; the default gives 95 %.

    >>> [round(bound, 4) for bound in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)

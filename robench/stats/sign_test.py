"""The sign test: is one of two paired quantities the larger one more often than by chance?"""

from __future__ import annotations

__all__ = ["sign_test"]


def sign_test(larger: int, smaller: int) -> float:
    """Two-sided p-value of the exact sign test (Arbuthnot 1710); pairs that agree do not count.

    Args:
        larger: pairs in which the first quantity is the larger one.
        smaller: pairs in which it is the smaller one.

    Returns:
        In (0, 1]; 1 where no pair differs.
    """
    from scipy.stats import binomtest

    different = larger + smaller
    return float(binomtest(larger, different).pvalue) if different else 1.0

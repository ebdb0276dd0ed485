"""The sign test, by counting."""

from __future__ import annotations

from math import comb

import pytest

from robench.stats.sign_test import sign_test


@pytest.mark.parametrize(("larger", "smaller"), [(9, 1), (5, 5), (0, 6), (14, 7), (1, 0)])
def test_it_counts_outcomes_at_least_as_uneven(larger: int, smaller: int) -> None:
    n = larger + smaller
    uneven = [k for k in range(n + 1) if abs(2 * k - n) >= abs(larger - smaller)]
    assert sign_test(larger, smaller) == pytest.approx(sum(comb(n, k) for k in uneven) / 2**n)
    assert sign_test(larger, smaller) == sign_test(smaller, larger)


def test_without_a_difference_it_says_nothing() -> None:
    assert sign_test(0, 0) == 1.0

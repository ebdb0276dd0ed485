"""Ratios of summed errors, by hand and for networks that are exactly as good."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robench.errors import InputError
from robench.stats.error_ratio import LEAST_ERRORS, error_ratio


def test_a_ratio_of_sums_by_hand() -> None:
    ratio, low, high = error_ratio([0.3, 0.1], [0.1, 0.1], 100)
    assert ratio == pytest.approx(2)
    # Standard deviations of one condition after the other, as if all errors were on one image.
    spread = [(math.sqrt(0.21) + 0.3) / 0.4 / 10, (0.3 + 0.3) / 0.2 / 10]
    factor = math.exp(1.959964 * math.hypot(*spread))
    assert (low, high) == pytest.approx((2 / factor, 2 * factor))


def test_networks_as_good_as_the_reference_are_not_worse_by_their_kinds() -> None:
    """Fifteen kinds at five severities, of which dense errs on five answers in most kinds."""
    generator = np.random.default_rng(0)
    true = np.repeat([0.01, 0.01, 0.2], 5)
    own, dense = generator.binomial(500, true, size=(2, 2000, 15)) / 500
    sums = [error_ratio(*each, 100)[0] for each in zip(own[:500], dense[:500], strict=True)]
    assert np.exp(np.log(sums).mean()) == pytest.approx(1, abs=0.02)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = own / dense
    means = ratios[np.isfinite(ratios).all(axis=1)].mean(axis=1)
    assert means.mean() > 1.15


def test_no_errors() -> None:
    assert all(map(math.isnan, error_ratio([0.1], [0.0], 10)))
    assert error_ratio([0.0], [0.1], 10) == pytest.approx((0, math.nan, math.nan), nan_ok=True)
    # With as many errors as are asked for, an equal network is within half as many again.
    share = LEAST_ERRORS / 1e6
    assert error_ratio([share], [share], 10**6)[2] < 2


@pytest.mark.parametrize(
    ("errors", "reference", "n"),
    [([0.1], [0.1, 0.2], 9), ([], [], 9), ([0.1], [0.1], 0), ([-0.1], [0.1], 9),
     ([math.nan], [0.1], 9), ([0.1], [1.5], 9), ([[0.1]], [[0.1]], 9)],
)  # fmt: skip
def test_what_has_no_ratio(errors: list[float], reference: list[float], n: int) -> None:
    with pytest.raises(InputError, match="images"):
        error_ratio(errors, reference, n)

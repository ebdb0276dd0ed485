from __future__ import annotations

import math

import numpy as np
import pytest

from robench.degradations.corruptions import COMMON
from robench.errors import InputError
from robench.measure.corruption_error import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    LEAST_ERRORS,
    error_ratio,
    mean_corruption_error,
)


def test_alexnet_is_its_own_measure() -> None:
    assert tuple(ALEXNET_ERRORS) == COMMON
    assert mean_corruption_error(ALEXNET_ERRORS, ALEXNET_ERRORS) == pytest.approx(1)
    halved = {kind: error / 2 for kind, error in ALEXNET_ERRORS.items()}
    assert mean_corruption_error(halved, ALEXNET_ERRORS) == pytest.approx(0.5)


def test_alexnets_clean_error_is_torchvisions() -> None:
    from robench._torchvision import import_torchvision

    weights = import_torchvision().models.AlexNet_Weights.IMAGENET1K_V1
    stated = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert pytest.approx(1 - stated / 100) == ALEXNET_CLEAN_ERROR


def test_by_hand() -> None:
    errors, reference = {"fog": 0.3, "snow": 0.6}, {"fog": 0.6, "snow": 0.8}
    assert mean_corruption_error(errors, reference) == pytest.approx((0.5 + 0.75) / 2)
    relative = mean_corruption_error(errors, reference, clean_error=0.1, reference_clean_error=0.4)
    assert relative == pytest.approx((0.2 / 0.2 + 0.5 / 0.4) / 2)


def test_where_the_reference_has_no_error_to_divide_by() -> None:
    assert mean_corruption_error({"fog": 0.3}, {"fog": 0.0}) is None
    clean = {"clean_error": 0.1, "reference_clean_error": 0.2}
    assert mean_corruption_error({"fog": 0.3}, {"fog": 0.2}, **clean) is None


def test_bad_input() -> None:
    with pytest.raises(InputError, match="fog against errors on snow"):
        mean_corruption_error({"fog": 0.3}, {"snow": 0.3})
    with pytest.raises(InputError, match="nothing"):
        mean_corruption_error({}, {})
    with pytest.raises(InputError, match="one clean error"):
        mean_corruption_error({"fog": 0.3}, {"fog": 0.3}, clean_error=0.1)


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

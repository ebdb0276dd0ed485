from __future__ import annotations

import pytest

from robench.degradations.corruptions import COMMON
from robench.errors import InputError
from robench.measure.corruption_error import mean_corruption_error
from robench.reference.hendrycks2019 import ALEXNET_ERRORS


def test_alexnet_is_its_own_measure() -> None:
    assert tuple(ALEXNET_ERRORS) == COMMON
    assert mean_corruption_error(ALEXNET_ERRORS, ALEXNET_ERRORS) == pytest.approx(1)
    halved = {kind: error / 2 for kind, error in ALEXNET_ERRORS.items()}
    assert mean_corruption_error(halved, ALEXNET_ERRORS) == pytest.approx(0.5)


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

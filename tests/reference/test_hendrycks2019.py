"""AlexNet's errors on ImageNet-C, against what is published elsewhere."""

from __future__ import annotations

import pytest

from robench.degradations.corruptions import COMMON
from robench.reference.hendrycks2019 import ALEXNET_CLEAN_ERROR, ALEXNET_ERRORS


def test_there_is_one_for_each_common_kind() -> None:
    assert tuple(ALEXNET_ERRORS) == COMMON
    # The mean error that the paper prints beside them is 76.7 % (mCE 100 by definition).
    assert 0.75 < sum(ALEXNET_ERRORS.values()) / len(COMMON) < 0.80


def test_alexnets_clean_error_is_torchvisions() -> None:
    from robench._torchvision import import_torchvision

    weights = import_torchvision().models.AlexNet_Weights.IMAGENET1K_V1
    stated = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert pytest.approx(1 - stated / 100) == ALEXNET_CLEAN_ERROR

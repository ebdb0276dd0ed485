"""LeNet-5 as Caffe has it: sizes, initial weights, and no ReLU behind the convolutions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError
from robench.models import build


def lenet(side_px: int = 28, **params: object) -> nn.Module:
    shape = (1, side_px, side_px)
    return build(
        "lenet-5", input_shape=shape, classes=10, mean=(0.5,), std=(0.2,), params=params, seed=0
    )


@pytest.mark.parametrize("side_px", [16, 17, 28, 41])
def test_the_linear_layer_fits_the_image(side_px: int) -> None:
    assert lenet(side_px)(torch.rand(2, 1, side_px, side_px)).shape == (2, 10)
    with pytest.raises(NotApplicableError, match="16"):
        lenet(15)


def test_initial_weights_have_the_variance_of_caffes() -> None:
    for layer in lenet().body:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            bound = math.sqrt(3 / fan_in)  # uniform with variance 1 / fan-in
            assert layer.weight.abs().max().item() <= bound
            assert layer.weight.detach().var().item() == pytest.approx(1 / fan_in, rel=0.2)
            assert not layer.bias.any()


def test_only_the_hidden_units_are_rectified() -> None:
    kinds = [type(layer).__name__ for layer in lenet().body]
    assert kinds.count("ReLU") == 1
    assert kinds[-3:] == ["Linear", "ReLU", "Linear"]

"""The small VGG: its poolings, and what its widths mean."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError, ParameterError
from robench.models import build


def vgg(side_px: int = 8, **params: object) -> nn.Module:
    shape = (3, side_px, side_px)
    return build(
        "vgg-small", input_shape=shape, classes=4, mean=(0.5,) * 3, std=(0.2,) * 3, params=params
    )


def test_widths_name_convolutions_and_poolings_in_order() -> None:
    network = vgg(widths=[3, "M", 5, 6, "M"])
    kinds = [type(layer).__name__ for layer in network.body]
    block = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds[:-3] == [*block, "MaxPool2d", *block, *block, "MaxPool2d"]
    convolutions = [layer for layer in network.body if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(3, 3), (3, 5), (5, 6)]
    assert network.eval()(torch.rand(2, 3, 8, 8)).shape == (2, 4)


def test_the_image_must_outlast_the_poolings() -> None:
    vgg(2, widths=[3, "M"])
    with pytest.raises(NotApplicableError):
        vgg(1, widths=[3, "M"])
    with pytest.raises(ParameterError):
        vgg(widths=[])

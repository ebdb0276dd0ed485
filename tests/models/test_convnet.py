"""The small convolutional network: its layers in order, any size of image, other activations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError
from robench.models import build
from robench.models.activations import KWinners


def convnet(side_px: int = 8, **params: object) -> nn.Module:
    return build(
        "convnet",
        input_shape=(2, side_px, side_px),
        classes=3,
        mean=(0.5, 0.5),
        std=(0.2, 0.2),
        params={"widths": [4, 5], **params},
    )


def test_layers_follow_each_other_as_the_class_says() -> None:
    kinds = [type(layer).__name__ for layer in convnet().body]
    block = ["Conv2d", "BatchNorm2d", "ReLU"]
    end = ["AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert kinds == [*block, "MaxPool2d", *block, *end]
    assert all(layer.bias is None for layer in convnet().body if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize("side_px", [2, 5, 16])
def test_it_takes_any_image_that_the_poolings_leave_a_pixel_of(side_px: int) -> None:
    assert convnet(side_px).eval()(torch.rand(4, 2, side_px, side_px)).shape == (4, 3)
    with pytest.raises(NotApplicableError):
        convnet(1)


def test_k_wta_keeps_the_share_that_is_asked_for() -> None:
    network = convnet(activation="k-wta", active_share=0.25)
    winners = [layer for layer in network.body if isinstance(layer, KWinners)]
    assert len(winners) == 2
    out = winners[0](torch.rand(3, 4, 8, 8))
    assert (out != 0).flatten(1).sum(1).tolist() == [64, 64, 64]

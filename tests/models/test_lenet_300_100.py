"""LeNet-300-100: the multilayer perceptron of the pruning papers."""

from __future__ import annotations

import torch
from torch import nn

from robench.models import build, prunable


def test_three_linear_layers_with_relu_between() -> None:
    network = build("lenet-300-100", input_shape=(1, 28, 28), classes=10, mean=(0.13,), std=(0.31,))
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [300, 100, 10]
    assert sum(w.numel() for w in prunable(network).values()) == 266_200
    images = torch.rand(5, 1, 28, 28)
    hidden = (images.flatten(1) - 0.13) / 0.31
    for place, layer in enumerate(linear):
        hidden = layer(hidden)
        hidden = hidden.relu() if place < 2 else hidden
    torch.testing.assert_close(network.eval()(images), hidden)

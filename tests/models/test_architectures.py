"""The built-in architectures against counts worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.models import build, prunable


def network_for(name: str, input_shape: tuple[int, ...], **params: object) -> nn.Module:
    channels = input_shape[0]
    return build(
        name,
        input_shape=input_shape,
        classes=10,
        mean=(0.5,) * channels,
        std=(0.2,) * channels,
        params=params,
    )


def counts(model: nn.Module) -> tuple[int, int]:
    every = sum(parameter.numel() for parameter in model.parameters())
    return every, sum(weight.numel() for weight in prunable(model).values())


@pytest.mark.parametrize(
    ("name", "input_shape", "every", "weights"),
    [
        # 784·300 + 300·100 + 100·10 weights, 300 + 100 + 10 biases
        ("lenet-300-100", (1, 28, 28), 266_610, 266_200),
        # 784·500 + 500·300 + 300·10 weights, 500 + 300 + 10 biases
        ("mlp", (1, 28, 28), 545_810, 545_000),
        # 20·25 + 50·20·25 + 500·(50·4·4) + 10·500 weights, 20 + 50 + 500 + 10 biases
        ("lenet-5", (1, 28, 28), 431_080, 430_500),
        # 20·3·25 + 50·20·25 + 500·(50·5·5) + 10·500 weights, the same biases
        ("lenet-5", (3, 32, 32), 657_080, 656_500),
        # 32·27 + 64·288 + 128·576 + 10·128 weights; BatchNorm 2·(32 + 64 + 128), 10 biases
        ("convnet", (3, 32, 32), 94_762, 94_304),
    ],
)
def test_parameter_counts(
    name: str, input_shape: tuple[int, ...], every: int, weights: int
) -> None:
    assert counts(network_for(name, input_shape)) == (every, weights)


def test_mlp_takes_any_widths() -> None:
    network = network_for("mlp", (30,), widths=[8, 4, 2])
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [
        (30, 8),
        (8, 4),
        (4, 2),
        (2, 10),
    ]
    assert not isinstance(network.body[-1], nn.ReLU)


def test_mlp_without_hidden_layers_is_linear() -> None:
    network = network_for("mlp", (5,), widths=[])
    x, y = torch.rand(2, 5), torch.rand(2, 5)
    torch.testing.assert_close(network((x + y) / 2), (network(x) + network(y)) / 2)


def test_lenet_5_is_caffes() -> None:
    body = network_for("lenet-5", (1, 28, 28)).body
    assert [type(layer).__name__ for layer in body] == [
        "Conv2d",
        "MaxPool2d",
        "Conv2d",
        "MaxPool2d",
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert (body.conv1.kernel_size, body.conv1.padding) == ((5, 5), (0, 0))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 40), (28, 31)])
def test_lenet_5_takes_images_of_odd_sizes(height: int, width: int) -> None:
    assert network_for("lenet-5", (1, height, width))(torch.rand(2, 1, height, width)).shape == (
        2,
        10,
    )


def test_convnet_has_as_many_convolutions_as_widths() -> None:
    network = network_for("convnet", (1, 9, 5), widths=[4, 6])
    assert list(prunable(network)) == ["body.conv1.weight", "body.conv2.weight", "body.fc.weight"]
    assert network(torch.rand(2, 1, 9, 5)).shape == (2, 10)

"""The built-in architectures against counts worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError, ParameterError
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
        # 9·(3·64 + 64·64 + 64·128 + 128·128 + 128·256 + 256·256) + 10·256 weights;
        # BatchNorm 2·2·(64 + 128 + 256), 10 biases
        ("vgg-small", (3, 32, 32), 1_148_874, 1_147_072),
        # 9·(3·16 + 6·16² + 16·32 + 5·32² + 32·64 + 5·64²) + 10·64 weights;
        # BatchNorm 2·(7·16 + 6·32 + 6·64), 10 biases
        ("resnet20", (3, 32, 32), 269_722, 268_336),
        # the same with ten convolutions a stage: 9·(3·16 + 10·16² + 16·32 + 9·32² + 32·64 + 9·64²)
        ("resnet32", (3, 32, 32), 464_154, 461_872),
        # 96·363 + 256·48·25 + 384·256·9 + 384·192·9 + 256·192·9 weights of the convolutions and
        # 4096·256·6·6 + 4096² + 10·4096 of the rest; 1,376 + 8,192 + 10 biases
        ("alexnet", (3, 224, 224), 56_909_194, 56_899_616),
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


def test_mlp_with_tanh_starts_as_glorot_says() -> None:
    network = network_for("mlp", (1, 20, 20), widths=[300], activation="tanh")
    assert [type(layer).__name__ for layer in network.body] == [
        "Flatten",
        "Linear",
        "Tanh",
        "Linear",
    ]
    first, last = network.body.fc1, network.body.fc2
    assert first.weight.abs().max() <= math.sqrt(6 / (400 + 300))
    assert first.weight.var().item() == pytest.approx(2 / (400 + 300), rel=0.02)
    assert last.weight.var().item() == pytest.approx(2 / (300 + 10), rel=0.1)
    assert not first.bias.any()
    x = torch.rand(2, 1, 20, 20)
    expected = last(torch.tanh(first(network.normalise(x).flatten(1))))
    torch.testing.assert_close(network(x), expected)


def test_mlp_refuses_an_activation_that_it_does_not_know() -> None:
    with pytest.raises(ParameterError, match="'activation' cannot be 'sigmoid'"):
        network_for("mlp", (5,), activation="sigmoid")


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


def test_vgg_small_pools_where_an_m_stands() -> None:
    network = network_for("vgg-small", (3, 9, 12), widths=[4, "M", 6, 8, "M"])
    kinds = [type(layer).__name__ for layer in network.body]
    convolution = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds == [
        *convolution,
        "MaxPool2d",
        *convolution * 2,
        *("MaxPool2d", "AdaptiveAvgPool2d", "Flatten", "Linear"),
    ]
    assert network(torch.rand(2, 3, 9, 12)).shape == (2, 10)
    with pytest.raises(NotApplicableError, match="3x12 pixels") as caught:
        network_for("vgg-small", (3, 3, 12), widths=[4, "M", 6, 8, "M"])
    assert caught.value.allowed == "at least 4x4 pixels"


def test_vgg_small_refuses_what_is_no_width() -> None:
    with pytest.raises(ParameterError, match="widths"):
        network_for("vgg-small", (3, 32, 32), widths=[4, "P"])


@pytest.mark.parametrize(("height", "width"), [(63, 63), (64, 97), (128, 70)])
def test_alexnet_fits_its_first_linear_layer_to_the_image(height: int, width: int) -> None:
    network = network_for("alexnet", (1, height, width), widths=[2, 4, 6, 6, 4], hidden=8)
    assert network(torch.rand(2, 1, height, width)).shape == (2, 10)


def test_alexnet_says_which_image_is_too_small() -> None:
    with pytest.raises(NotApplicableError, match="62x64 pixels") as caught:
        network_for("alexnet", (3, 62, 64))
    assert caught.value.allowed == "at least 63x63 pixels"


def test_alexnets_groups_are_those_of_the_original() -> None:
    shape = {"widths": [4, 8, 12, 12, 8], "hidden": 16}
    body = network_for("alexnet", (3, 63, 63), **shape).body
    convolutions = [layer for layer in body if isinstance(layer, nn.Conv2d)]
    assert [conv.groups for conv in convolutions] == [1, 2, 1, 2, 2]
    # A filter of the first group does not see the maps of the second.
    maps = torch.rand(1, 4, 5, 5)
    changed = maps.clone()
    changed[:, 2:] += 1
    same = body.conv2(maps) == body.conv2(changed)
    assert same[:, :4].all()
    assert not same[:, 4:].any()
    whole = network_for("alexnet", (3, 63, 63), groups=1, **shape).body
    assert all(layer.groups == 1 for layer in whole if isinstance(layer, nn.Conv2d))


def test_alexnets_groups_must_divide_its_widths() -> None:
    with pytest.raises(ParameterError, match=r"groups 2 must divide all widths \(4, 7, 6, 6, 4\)"):
        network_for("alexnet", (3, 63, 63), widths=[4, 7, 6, 6, 4])


def test_convnet_has_as_many_convolutions_as_widths() -> None:
    network = network_for("convnet", (1, 9, 5), widths=[4, 6])
    assert list(prunable(network)) == ["body.conv1.weight", "body.conv2.weight", "body.fc.weight"]
    assert network(torch.rand(2, 1, 9, 5)).shape == (2, 10)

"""Which channels are constant, and which of these at every image size."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.compaction.constants import (
    FIXED,
    UNIFORM,
    VARIES,
    blocks,
    constancy,
    is_uniform,
    is_zero,
)
from robench.graph.trace import Traced, traced_copy


def levels(*layers: nn.Module, one_size: bool = False) -> list[list[int]]:
    """The level of each channel after each layer; unit 0 of the first layer is constant."""
    model = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        model[0].weight[0] = 0
    traced = Traced(traced_copy(model), torch.rand(1, 2, 6, 6).double())
    found = constancy(traced, one_size=one_size)
    return [found[node].tolist() for node in traced.nodes if node.op == "call_module"]


def test_a_unit_without_weights_is_uniform_until_a_padding_gives_it_a_border() -> None:
    conv = nn.Conv2d(2, 2, 3)
    assert levels(conv, nn.ReLU(), nn.MaxPool2d(2))[-1] == [UNIFORM, VARIES]
    assert levels(conv, nn.ZeroPad2d(1))[-1] == [FIXED, VARIES]
    assert levels(conv, nn.ReflectionPad2d(1))[-1] == [UNIFORM, VARIES]
    assert levels(conv, nn.AvgPool2d(3, 1, 1))[-1] == [FIXED, VARIES]
    assert levels(conv, nn.AvgPool2d(3, 1, 1, count_include_pad=False))[-1] == [UNIFORM, VARIES]


def test_a_convolution_of_constant_channels_alone_is_constant() -> None:
    depthwise = nn.Conv2d(2, 2, 3, groups=2)
    assert levels(nn.Conv2d(2, 2, 1), depthwise)[-1] == [UNIFORM, VARIES]
    assert levels(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 1, 1))[-1] == [VARIES]


def test_with_one_size_a_map_is_uniform_where_it_was_seen_to_be() -> None:
    pooled = (nn.Conv2d(2, 2, 3), nn.ZeroPad2d(1), nn.AdaptiveAvgPool2d(1))
    assert levels(*pooled)[-1] == [FIXED, VARIES]
    assert levels(*pooled, one_size=True)[-1] == [UNIFORM, VARIES]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 5), (1, 5, 3, 1)),
        (nn.Conv2d(4, 6, 3, groups=2), (2, 3, 2, 9)),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 3, 2, 9)),
    ],
)
def test_blocks_are_separate_convolutions(layer, shape: tuple[int, ...]) -> None:
    assert blocks(layer).shape == shape


def test_transposed_blocks_have_their_units_first() -> None:
    layer = nn.ConvTranspose2d(4, 6, 1, groups=2)
    assert blocks(layer)[1, 2, 0, 0] == layer.weight[2, 2, 0, 0]  # input 2, unit 3 + 2


def test_values_of_channels() -> None:
    value = torch.tensor([[[0.0, 0.0], [3.0, 3.0], [1.0, 2.0]]])
    assert is_zero(value).tolist() == [True, False, False]
    assert is_uniform(value).tolist() == [True, True, False]
    assert is_uniform(value, axis=2).tolist() == [False, False]

"""The geometric fully connected network."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from robench.errors import ParameterError
from robench.models import build
from robench.models.geometric_mlp import geometric_widths


def network(features: int, classes: int = 1, **params: object) -> nn.Module:
    return build(
        "geometric-mlp",
        input_shape=(features,),
        classes=classes,
        mean=(0.5,) * features,
        std=(0.2,) * features,
        params=params,
    )


def test_widths_fall_by_one_factor_to_the_output() -> None:
    layers = [module for module in network(1013).modules() if isinstance(module, nn.Linear)]
    sizes = [(layer.in_features, layer.out_features) for layer in layers]
    assert sizes == [(1013, 180), (180, 32), (32, 6), (6, 1)]  # 1013 ** (3/4, 2/4, 1/4)
    assert geometric_widths(10_000, 4) == [1000, 100, 10]


@pytest.mark.parametrize(("layers", "hidden"), [(1, []), (2, [32]), (3, [100, 10])])
def test_depth_is_a_parameter(layers: int, hidden: list[int]) -> None:
    features = 1000
    model = network(features, classes=3, layers=layers)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [layer.out_features for layer in linear] == [*hidden, 3]
    assert sum(isinstance(module, nn.ReLU) for module in model.modules()) == layers - 1
    assert model(torch.rand(2, features)).shape == (2, 3)


def test_it_starts_as_glorot_says() -> None:
    first = next(m for m in network(1013).modules() if isinstance(m, nn.Linear))
    std = math.sqrt(2 / (1013 + 180))
    assert first.weight.std().item() == pytest.approx(std, rel=0.01)
    kurtosis = (first.weight / std).pow(4).mean().item()
    assert kurtosis == pytest.approx(3.0, abs=0.1)  # normal; uniform would give 1.8
    assert not first.bias.any()


def test_there_is_no_network_of_no_layers() -> None:
    with pytest.raises(ParameterError, match="layers"):
        network(5, layers=0)

"""Layers lose the units and inputs that a plan names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.compaction.pruning_plan import Plan, Policy
from robench.compaction.surgery import shrink, shrink_layer
from robench.graph.trace import Traced, traced_copy


def chosen(*places: int, count: int) -> torch.Tensor:
    return torch.tensor([place in places for place in range(count)])


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_smaller_layer_computes_the_same_of_fewer_channels(kind) -> None:
    torch.manual_seed(0)
    layer, images = kind(4, 6, 3).double(), torch.rand(2, 4, 7, 7).double()
    units, inputs = chosen(0, 2, 5, count=6), chosen(1, 2, count=4)
    expected = layer(images * inputs.view(1, -1, 1, 1))[:, units]
    layer.weight.requires_grad_(requires_grad=False)
    shrink_layer(layer, units, inputs)
    torch.testing.assert_close(layer(images[:, inputs]), expected)
    assert (layer.in_channels, layer.out_channels) == (2, 3)
    assert not layer.weight.requires_grad


def test_a_group_without_channels_goes() -> None:
    torch.manual_seed(0)
    layer, images = nn.Conv2d(4, 4, 1, groups=2).double(), torch.rand(1, 4, 3, 3).double()
    last = chosen(2, 3, count=4)
    expected = layer(images)[:, 2:]
    shrink_layer(layer, last, last)
    assert layer.groups == 1
    torch.testing.assert_close(layer(images[:, 2:]), expected)


def test_a_norm_between_layers_becomes_smaller_with_them() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 2, 1))
    with torch.no_grad():
        model[3].weight[:, [0, 3]] = 0
    model.double().eval()
    images = torch.rand(2, 2, 4, 4).double()
    module = traced_copy(model)
    traced = Traced(module, images[:1])
    assert shrink(traced, Plan(traced, Policy())) == []
    norm = module.get_submodule("1")
    assert norm.num_features == len(norm.running_mean) == 3
    torch.testing.assert_close(module(images), model(images))

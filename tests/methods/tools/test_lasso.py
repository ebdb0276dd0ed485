"""What the lasso and its kin share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.methods.tools.lasso import (
    gradient_of,
    negligible_share,
    penalised,
    why_not,
)


def test_all_is_weights_and_biases_of_convolutions_and_linear_layers(network):
    model = network("convnet", widths=[3, 4])
    named = dict(model.named_modules())
    norms = [name for name, module in named.items() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    everywhere = penalised(model, "all")
    others = {name for name, _ in model.named_parameters()} - everywhere.keys()
    assert others == {f"{name}.{own}" for name in norms for own in ("weight", "bias")}
    convolutions = penalised(model, "conv")
    assert convolutions
    assert all(isinstance(named[n.rpartition(".")[0]], nn.Conv2d) for n in convolutions)
    assert any(isinstance(named[n.rpartition(".")[0]], nn.Linear) for n in everywhere)


def test_a_shared_weight_is_penalised_once():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    assert list(penalised(model, "all")) == ["0.weight", "0.bias", "1.bias"]


def test_a_network_without_any_says_why():
    assert why_not(nn.Linear(2, 2), "all") is True
    assert why_not(nn.Linear(2, 2), "conv") == (
        "there is no convolution to penalise; take `scope: all`"
    )
    assert why_not(nn.BatchNorm1d(2), "all") == (
        "there is no convolution or Linear layer to penalise"
    )


def test_a_missing_gradient_is_zero():
    weight = nn.Parameter(torch.ones(2, 3))
    gradient_of(weight).add_(1)
    assert torch.equal(weight.grad, torch.ones(2, 3))
    assert gradient_of(weight) is weight.grad


def test_negligible_weights_are_those_without_which_a_layer_is_one_percent_off():
    # Squared norm 100² + 0.6² + 0.8² + 0.1²; the limit is a ten-thousandth of it, just above 1.
    layer = torch.tensor([[0.6, -100.0], [0.1, -0.8]])
    assert negligible_share({"layer": layer}) == 0.5
    assert negligible_share({"layer": 1e-6 * layer}) == 0.5
    layer[1, 0] = 0.0
    assert negligible_share({"layer": layer}) == 0.75
    cut = torch.where(layer.abs() < 1, 0.0, layer)
    assert (cut - layer).norm() <= 0.01 * layer.norm()


def test_zeros_are_negligible_and_the_layers_are_looked_at_one_by_one():
    assert negligible_share({"dead": torch.zeros(5)}) == 1.0
    sparse = torch.cat([torch.ones(5), torch.zeros(15)])
    assert negligible_share({"sparse": sparse}) == 0.75
    assert negligible_share({"sparse": sparse, "tiny": torch.full((20,), 1e-9)}) == 0.375


def test_a_dense_layer_has_few_negligible_weights():
    """Of normal weights the share x below z σ with √(2/π) z³ / 3 = 1e-4."""
    layer = torch.randn(400, 500, generator=torch.Generator().manual_seed(0))
    z = (3e-4 / (2 / torch.pi) ** 0.5) ** (1 / 3)
    share = torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(z)) * 2 - 1
    assert negligible_share({"layer": layer}) == pytest.approx(float(share), abs=2e-3)

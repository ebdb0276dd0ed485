"""Sparse kernels: equal in outputs and gradients, labelled, and refused where they do not apply."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from robench.deploy import sparse_forms
from robench.deploy.backends import why_off
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.deploy.sparse_forms import CsrLinear, csr_form, two_of_four_form
from robench.errors import CompactionError, InputError, NotApplicableError

IMAGES = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network(*shares: float) -> nn.Sequential:
    """64-32-16-10 with these shares of zeros, spread at random."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16, bias=False), nn.ReLU(),
        nn.Linear(16, 10),
    ).eval()  # fmt: skip
    layers = [part for part in model if isinstance(part, nn.Linear)]
    with torch.no_grad():
        for layer, share in zip(layers, shares, strict=True):
            dead = torch.randperm(layer.weight.numel(), generator=generator)
            layer.weight.view(-1)[dead[: round(share * len(dead))]] = 0
    return model


def input_gradient(model: nn.Module, inputs: Tensor) -> Tensor:
    leaf = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).square().sum(), leaf)
    return gradient


def test_layers_with_enough_zeros_get_the_kernel() -> None:
    model = network(0.9, 0.5, 0.2)
    before = copy.deepcopy(model.state_dict())
    form = csr_form(model, IMAGES)
    assert form.layers == {"1": pytest.approx(0.9, abs=1e-3), "3": 0.5}
    assert isinstance(form.network.get_submodule("1"), CsrLinear)
    assert type(form.network.get_submodule("5")) is nn.Linear
    assert form.differences.gradients_float64 < 1e-12
    torch.testing.assert_close(form.network(IMAGES), model(IMAGES))
    torch.testing.assert_close(input_gradient(form.network, IMAGES), input_gradient(model, IMAGES))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_only_what_is_not_zero_is_kept() -> None:
    weight = csr_form(network(0.9, 0.0, 0.0), IMAGES).network.get_submodule("1").weight
    assert weight.layout == torch.sparse_csr
    assert weight.values().numel() == 64 * 32 - round(0.9 * 64 * 32)
    assert weight.dtype == torch.float32


@pytest.mark.parametrize("shape", [(8,), (3, 8), (2, 3, 8)])
def test_rows_may_have_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    linear = nn.Linear(8, 5)
    rows = torch.rand(shape)
    torch.testing.assert_close(CsrLinear(linear)(rows), linear(rows))


def test_copies_are_apart_and_precision_may_change() -> None:
    kernel = CsrLinear(nn.Linear(8, 5))
    surrogate = copy.deepcopy(kernel)
    surrogate.weight.values().zero_()
    rows = torch.rand(3, 8)
    torch.testing.assert_close(surrogate(rows), kernel.bias.t().expand(3, 5))
    assert bool(kernel.weight.values().all())
    assert kernel.double()(rows.double()).dtype == torch.float64


def test_a_layer_of_zeros_gives_its_bias() -> None:
    model = network(1.0, 1.0, 1.0)
    torch.testing.assert_close(csr_form(model, IMAGES).network(IMAGES), model(IMAGES))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(0.4, 0.1, 0.0), "the most is 40%"),
        (nn.Conv2d(1, 2, 8), "the most is 0%"),
        (nn.BatchNorm2d(1), "there is none"),
    ],
)
def test_too_few_zeros_are_told(model: nn.Module, words: str) -> None:
    with pytest.raises(NotApplicableError, match=words):
        csr_form(nn.Sequential(model, nn.Flatten()).eval(), IMAGES)


@pytest.mark.skipif(why_off() is not None, reason="this machine compiles no kernels")
def test_convolutions_skip_their_zeros_too() -> None:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, groups=2),
        nn.ReLU(), nn.Conv2d(8, 8, 1, groups=8), nn.Flatten(), nn.Linear(72, 3),
    ).eval()  # fmt: skip
    with torch.no_grad():
        for layer in (model[0], model[2], model[4]):
            layer.weight[torch.rand(layer.weight.shape, generator=generator) < 0.8] = 0
    form = csr_form(model, IMAGES)
    assert set(form.layers) == {"0", "2"}  # for so many groups there is no kernel
    assert isinstance(form.network.get_submodule("2"), ScatteredConv2d)
    with torch.no_grad():
        torch.testing.assert_close(form.network(IMAGES), model(IMAGES))
    torch.testing.assert_close(input_gradient(form.network, IMAGES), input_gradient(model, IMAGES))


def test_a_wrong_kernel_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(CsrLinear):
        def forward(self, rows: Tensor) -> Tensor:
            return super().forward(rows) * 1.001

    monkeypatch.setattr(sparse_forms, "CsrLinear", Careless)
    with pytest.raises(CompactionError, match="'1'"):
        csr_form(network(0.9, 0.0, 0.0), IMAGES)


def two_of_four() -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)).eval()
    with torch.no_grad():
        model[1].weight.view(128, -1, 4)[..., :2] = 0
    return model


def test_the_pattern_is_looked_for_in_each_four_neighbours_of_a_row() -> None:
    model = two_of_four()
    assert sparse_forms._is_two_of_four(model[1])
    assert not sparse_forms._is_two_of_four(model[3])
    with torch.no_grad():
        model[1].weight[7, 12:16] = 1.0  # one group of four without a zero
    assert not sparse_forms._is_two_of_four(model[1])
    assert not sparse_forms._is_two_of_four(nn.Linear(6, 4))


def test_the_cpu_has_no_two_of_four() -> None:
    with pytest.raises(NotApplicableError, match="on a GPU alone"):
        two_of_four_form(two_of_four(), torch.rand(3, 256))


@pytest.mark.gpu
def test_two_of_four_on_a_gpu_is_the_half_precision_network() -> None:
    model, rows = two_of_four().cuda(), torch.rand(64, 256, device="cuda")
    form = two_of_four_form(model, rows)
    assert form.layers == ("1",)
    with torch.no_grad():
        torch.testing.assert_close(form.network(rows), form.dense(rows), rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(form.dense(rows), model(rows), rtol=2e-2, atol=2e-2)
    with pytest.raises(InputError, match="no gradients"):
        form.network(rows.clone().requires_grad_())

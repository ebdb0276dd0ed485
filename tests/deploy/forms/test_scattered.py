"""Convolutions that skip single zeros: the same function, for any zeros."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.deploy.backends import why_off
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.deploy.kernels.native import Kernel

compiled = pytest.mark.skipif(why_off() is not None, reason="this machine compiles no kernels")


def convolution(share: float, **options) -> nn.Conv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, options.pop("kernel", 3), **options).eval()
    with torch.no_grad():
        conv.weight[torch.rand(conv.weight.shape) < share] = 0
    return conv


@settings(max_examples=15, deadline=None)
@given(
    share=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    kernel=st.sampled_from([1, 3, (2, 5)]),
    stride=st.sampled_from([1, 2, (2, 1)]),
    padding=st.sampled_from([0, 1, (2, 0)]),
    dilation=st.sampled_from([1, 2]),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
)
def test_it_computes_the_convolution(share, **options) -> None:
    conv = convolution(share, **options)
    form, maps = ScatteredConv2d(conv, (4, 12, 13)), torch.randn(3, 4, 12, 13)
    assert torch.equal(form.weight, conv.weight)
    with torch.no_grad():
        torch.testing.assert_close(form(maps), conv(maps), atol=1e-5, rtol=1e-5)
        doubles = copy.deepcopy(form).double(), copy.deepcopy(conv).double()
        torch.testing.assert_close(doubles[0](maps.double()), doubles[1](maps.double()))
    one, other = (maps.clone().requires_grad_() for _ in range(2))
    (form(one).square().sum() + conv(other).square().sum()).backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_a_filter_of_zeros_keeps_one_of_them() -> None:
    conv = convolution(0.9)
    with torch.no_grad():
        conv.weight[2] = 0
    form = ScatteredConv2d(conv, (4, 12, 13))
    empty = int((conv.weight.flatten(1) == 0).all(1).sum())
    assert form.values.numel() == int(conv.weight.count_nonzero()) + empty
    assert not list(form.parameters())
    assert set(form.state_dict()) == {"values", "places", "bias"}


@compiled
def test_the_kernel_is_used_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = convolution(0.9, groups=2)
    form, maps = ScatteredConv2d(conv, (4, 12, 13)), torch.rand(3, 4, 12, 13)
    seen: list[int] = []
    original = Kernel.__call__

    def counted(self, *places: int) -> None:
        seen.append(places[-1])
        original(self, *places)

    monkeypatch.setattr(Kernel, "__call__", counted)
    form(maps)
    assert seen == [3, 3]  # one a group
    surrogate = copy.deepcopy(form)
    surrogate.values.zero_()
    assert not (surrogate(maps) - conv.bias[:, None, None]).any()
    torch.testing.assert_close(form(maps), conv(maps))
    assert seen == [3] * 6
    form(maps[:, :, :11])
    form(maps.clone().requires_grad_())
    torch.func.vmap(form)(maps[None])
    assert seen == [3] * 6


def test_other_weights_are_loaded_with_their_places() -> None:
    conv, maps = convolution(0.5), torch.rand(2, 4, 12, 13)
    other = copy.deepcopy(conv)
    with torch.no_grad():
        other.weight.copy_(other.weight.flip(0))
        other.bias.zero_()
        form = ScatteredConv2d(conv, (4, 12, 13))
        form(maps)
        form.load_state_dict(ScatteredConv2d(other, (4, 12, 13)).state_dict())
        torch.testing.assert_close(form(maps), other(maps), atol=1e-5, rtol=1e-5)

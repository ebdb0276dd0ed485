"""Convolutions over gathered columns: the same function, whatever the shape."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.deploy.columns import used_columns
from robench.deploy.forms.gathered import GatheredConv2d
from robench.errors import InputError

few = settings(max_examples=25, deadline=None)


def convolution(
    *, share: float, seed: int, kernel=3, stride=1, padding=1, dilation=1, groups=1, bias=True
):
    torch.manual_seed(seed)
    conv = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups, bias=bias)
    with torch.no_grad():
        for own in conv.weight.unflatten(0, (groups, -1)):
            own[:, torch.rand(own.shape[1:]) < share] = 0
            own[0, 0, -1, -1] = 1.0  # never empty
    return conv.eval()


shapes = {
    "seed": st.integers(0, 1000),
    "kernel": st.sampled_from([1, 3, (2, 5)]),
    "stride": st.sampled_from([1, 2, (2, 1)]),
    "padding": st.sampled_from([0, 1, (2, 0)]),
    "dilation": st.sampled_from([1, 2]),
    "groups": st.sampled_from([1, 2]),
    "bias": st.booleans(),
}


@few
@given(share=st.sampled_from([0.0, 0.5, 0.95]), **shapes)
def test_gathered_columns_compute_the_convolution(share, **options) -> None:
    conv = convolution(share=share, **options).double()
    maps = torch.rand(3, 4, 12, 11).double()
    used = used_columns(conv)
    gathered = GatheredConv2d(conv, used, (4, 12, 11))
    with torch.no_grad():  # which takes another way than the one with gradients
        assert torch.allclose(gathered(maps), conv(maps), atol=1e-12)
    found, expected = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    (gathered(found).square().sum() + conv(expected).square().sum()).backward()
    assert torch.allclose(found.grad, expected.grad, atol=1e-12)
    assert torch.equal(gathered.convolution().weight, conv.weight)
    assert torch.equal(gathered.convolution()(maps), conv(maps))
    assert [product.in_features for product in gathered.products] == used.flatten(1).sum(1).tolist()


def test_other_image_sizes_are_refused() -> None:
    conv = convolution(share=0.5, seed=0)
    gathered = GatheredConv2d(conv, used_columns(conv), (4, 8, 8))
    with pytest.raises(InputError, match=r"(?s)\(4, 9, 8\).*\(4, 8, 8\), for which"):
        gathered(torch.rand(1, 4, 9, 8))

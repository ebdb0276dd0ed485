"""Kernels of layers: which layers have one, and that changed weights are read."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.deploy.backends import kernel_for, why_off
from robench.deploy.forms.gathered import GatheredConv2d
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.deploy.kernels.calls import supports

compiled = pytest.mark.skipif(why_off() is not None, reason="this machine compiles no kernels")
IMAGES = torch.rand(3, 4, 7, 6, generator=torch.Generator().manual_seed(0))


def layer(kind: str) -> tuple[nn.Module, nn.Conv2d]:
    """A layer of two groups in this form, and the convolution that it is made of."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2).eval().requires_grad_(requires_grad=False)
    conv.weight[:, :, 0] = 0
    if kind == "gathered":
        columns = torch.ones(2, 2, 3, 3, dtype=torch.bool)
        columns[:, :, 0] = False
        return GatheredConv2d(conv, columns, (4, 7, 6)).requires_grad_(requires_grad=False), conv
    return (ScatteredConv2d(conv, (4, 7, 6)) if kind == "scattered" else conv), conv


def test_supported_layers() -> None:
    assert supports(nn.Conv2d(4, 4, 3, groups=4), IMAGES)
    assert not supports(nn.Conv2d(4, 4, 3), IMAGES.double())
    assert not supports(nn.Conv2d(8, 8, 3, groups=8), IMAGES)


@compiled
@pytest.mark.parametrize("kind", ["whole", "gathered", "scattered"])
def test_each_form_of_a_layer_has_a_kernel(kind: str) -> None:
    form, conv = layer(kind)
    kernel = kernel_for(form, IMAGES)
    assert kernel is not None
    assert kernel.layer is form
    assert len(kernel.layouts) == 2
    expected = conv(IMAGES)
    torch.testing.assert_close(kernel(IMAGES), expected, atol=1e-5, rtol=1e-5)
    (form.products[0] if kind == "gathered" else form).bias[0] += 1  # read at the next call
    expected[:, 0] += 1
    torch.testing.assert_close(kernel(IMAGES), expected, atol=1e-5, rtol=1e-5)


@compiled
def test_a_sum_is_fused_before_the_relu() -> None:
    _, conv = layer("whole")
    beside = torch.randn(3, 6, 7, 6)
    kernel = kernel_for(conv, IMAGES, added=True, rectified=True)
    assert kernel is not None
    expected = (conv(IMAGES) + beside).relu()
    torch.testing.assert_close(kernel(IMAGES, beside), expected, atol=1e-5, rtol=1e-5)
    assert kernel(IMAGES, beside[:, :1]) is None
    with conv.register_forward_hook(lambda *_: None):
        assert kernel(IMAGES, beside) is None

"""Convolutions with a smaller kernel: the same function, whatever the shape."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.deploy.forms.cropped import CroppedConv2d

few = settings(max_examples=25, deadline=None)


@few
@given(
    window=st.tuples(st.integers(0, 2), st.integers(2, 4), st.integers(0, 2), st.integers(2, 4)),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([0, 1, 3]),
    dilation=st.sampled_from([1, 2]),
)
def test_a_cropped_kernel_computes_the_convolution(window, stride, padding, dilation) -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(4, 6, 5, stride, padding, dilation).double().eval()
    top, bottom, left, right = window
    with torch.no_grad():
        whole = conv.weight.clone()
        conv.weight.zero_()
        inner = (..., slice(top, bottom + 1), slice(left, right + 1))
        conv.weight[inner] = whole[inner]
    maps = torch.rand(2, 4, 13, 14).double()
    cropped = CroppedConv2d(conv, window)
    assert torch.allclose(cropped(maps), conv(maps), atol=1e-12)
    assert cropped.conv.weight.shape[2:] == (bottom - top + 1, right - left + 1)

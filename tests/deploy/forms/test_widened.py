"""Several pixels of a convolution at a time: the same function and the same gradients."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.deploy.forms.widened import WidenedConv2d

few = settings(max_examples=25, deadline=None)


@few
@given(
    pixels=st.sampled_from([2, 3, 4]),
    kernel=st.sampled_from([1, 3, (2, 5)]),
    stride=st.sampled_from([1, 2, (2, 1), (1, 3)]),
    padding=st.sampled_from([0, 1, (2, 0)]),
    bias=st.booleans(),
    is_last=st.booleans(),
)
def test_a_widened_convolution_computes_the_convolution(
    check_same, pixels, kernel, stride, padding, bias, is_last
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, kernel, stride, padding, bias=bias).double().eval()
    narrowest = 12  # of the output, so that any number of pixels divides it
    across, beside = conv.stride[1], int(conv.padding[1])
    width = (narrowest - 1) * across + conv.kernel_size[1] - 2 * beside
    maps = torch.rand(2, 3, 9, width, dtype=torch.float64)
    if is_last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    assert conv(maps).shape[3] == narrowest
    check_same(WidenedConv2d(conv, pixels), conv, maps)


def test_what_a_widened_convolution_writes_lies_channels_last() -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1).eval()
    maps = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert WidenedConv2d(conv, 2)(maps).is_contiguous(memory_format=torch.channels_last)

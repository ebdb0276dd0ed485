"""A narrow convolution (few filters) that computes several pixels at a time.

A CPU multiplies vectors of 8 or 16 numbers, and the libraries fill a vector with the filters of one
pixel: five filters take as long as sixteen. Here the filters of neighbouring pixels share a vector.
The filters of `pixels` neighbours in a row are the same kernel, shifted. Together they are one
convolution with `pixels` times the filters, a wider kernel and a wider stride. In channels-last
memory (NHWC) its outputs have the same addresses as those of the narrow convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.deploy.forms.extents import padding_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WidenedConv2d"]


class WidenedConv2d(nn.Module):
    """A convolution that computes several neighbouring pixels of a row at a time.

    Args:
        conv: the convolution: one group, not dilated, padded with zeros by numbers.
        pixels: number of pixels at a time; must divide the width of the output.
    """

    def __init__(self, conv: nn.Conv2d, pixels: int) -> None:
        super().__init__()
        self.pixels, self.filters = pixels, conv.out_channels
        height, width = conv.kernel_size
        down, across = conv.stride
        self.conv = nn.Conv2d(
            conv.in_channels, pixels * conv.out_channels, (height, width + (pixels - 1) * across),
            (down, pixels * across), padding_of(conv), bias=conv.bias is not None,
            dtype=conv.weight.dtype, device=conv.weight.device,
        )  # fmt: skip
        wide = torch.zeros_like(self.conv.weight)
        with torch.no_grad():
            for pixel, own in enumerate(wide.view(pixels, self.filters, *wide.shape[1:])):
                own[..., pixel * across : pixel * across + width] = conv.weight
            if conv.bias is not None:
                self.conv.bias = nn.Parameter(conv.bias.detach().repeat(pixels))
        self.conv.weight = nn.Parameter(wide.to(memory_format=torch.channels_last))
        self.requires_grad_(conv.weight.requires_grad)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W'], channels last in memory."""
        together = self.conv(maps).permute(0, 2, 3, 1)
        pixels: Tensor = together.unflatten(3, (self.pixels, self.filters)).flatten(2, 3)
        return pixels.permute(0, 3, 1, 2)

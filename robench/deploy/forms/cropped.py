"""A convolution with a smaller kernel, for zero columns along the border of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from robench.deploy.forms.extents import padding_of, pair

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CroppedConv2d"]


class CroppedConv2d(nn.Module):
    """A convolution with a smaller kernel, and the padding that keeps its position.

    Args:
        conv: the convolution; the border of its kernel is zero.
        window: first row, last row, first column, last column of the kernel that are kept.
    """

    def __init__(self, conv: nn.Conv2d, window: tuple[int, int, int, int]) -> None:
        super().__init__()
        top, bottom, left, right = window
        rows, columns = conv.dilation
        above, beside = padding_of(conv)
        below = above - (conv.kernel_size[0] - 1 - bottom) * rows
        behind = beside - (conv.kernel_size[1] - 1 - right) * columns
        # A negative padding crops.
        self.padding = (beside - left * columns, behind, above - top * rows, below)
        self.window = window
        size = (bottom - top + 1, right - left + 1)
        self.conv = nn.Conv2d(
            conv.in_channels, conv.out_channels, size, pair(conv.stride), 0, pair(conv.dilation),
            conv.groups, bias=conv.bias is not None, dtype=conv.weight.dtype,
            device=conv.weight.device,
        )  # fmt: skip
        with torch.no_grad():
            self.conv.weight.copy_(conv.weight[..., top : bottom + 1, left : right + 1])
            if self.conv.bias is not None and conv.bias is not None:
                self.conv.bias.copy_(conv.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W'], equal to those of the original kernel."""
        outputs: Tensor = self.conv(F.pad(maps, self.padding))
        return outputs

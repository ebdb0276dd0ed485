"""Max pooling as maxima of whole rows and columns."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RowMaxPool2d"]


class RowMaxPool2d(nn.Module):
    """Max pooling over windows that do not overlap, as maxima of whole rows and columns.

    Where two neighbours are exactly equal, each gets half of the gradient; torch's own pooling
    gives it all to the first.

    Args:
        pool: the pooling: its stride is its window; no padding, no dilation, rounding down.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        size = pool.kernel_size
        self.size = size if isinstance(size, tuple) else (size, size)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C, H / height, W / width], rounded down."""
        down, across = self.size
        end = maps.size(2) // down * down
        rows = reduce(torch.maximum, [maps[:, :, first:end:down] for first in range(down)])
        end = maps.size(3) // across * across
        return reduce(torch.maximum, [rows[..., first:end:across] for first in range(across)])

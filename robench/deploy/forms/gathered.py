"""A convolution over some of its columns: im2col of these columns and a matrix product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional as F

from robench.deploy.dispatcher import is_transformed
from robench.deploy.forms.extents import Geometry, padding_of
from robench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GatheredConv2d"]

_NEAR = 2**20
"""Numbers gathered at a time: 4 MiB in float32, about the size of an L2 cache."""


class GatheredConv2d(nn.Module):
    """A convolution as a matrix product over its nonzero columns, one product per group.

    Args:
        conv: the convolution, padded with zeros.
        columns: bool [G, C / G, kernel height, kernel width], which each group uses, at least one.
        input_shape: (C, H, W) of its input; others are refused.
    """

    columns: Tensor

    def __init__(self, conv: nn.Conv2d, columns: Tensor, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("columns", columns)
        self.geometry = Geometry.of(conv)
        self.padded = _Padded(conv, input_shape)
        self.products = nn.ModuleList(
            _Product(conv, group, columns, input_shape) for group in range(len(columns))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W'].

        Raises:
            InputError: the input has another size.
        """
        images = self.padded(maps)
        outputs = [product(images) for product in self.products]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)

    def convolution(self) -> nn.Conv2d:
        """The plain convolution, with zeros in the other columns."""
        parts = [cast("_Product", product) for product in self.products]
        weight, geometry = parts[0].weight, self.geometry
        conv = nn.Conv2d(
            geometry.channels, geometry.filters, geometry.kernel, geometry.stride,
            geometry.padding, geometry.dilation, geometry.groups, geometry.has_bias,
            dtype=weight.dtype, device=weight.device,
        )  # fmt: skip
        with torch.no_grad():
            conv.weight.zero_()
            own = conv.weight.view(len(parts), -1, *conv.weight.shape[1:])
            for filled, part, used in zip(own, parts, self.columns, strict=True):
                filled[:, used] = part.weight
            if conv.bias is not None:
                conv.bias.copy_(torch.cat([part.bias for part in parts]))
        return conv.requires_grad_(weight.requires_grad).train(self.training)


class _Padded(nn.Module):
    """Pads the input and flattens each image; inputs of another size are refused."""

    def __init__(self, conv: nn.Conv2d, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        above, beside = padding_of(conv)
        self.input_shape, self.padding = input_shape, (beside, beside, above, above)

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[1:] != self.input_shape:
            raise InputError(
                f"a compacted convolution reads maps of shape {tuple(maps.shape[1:])}",
                allowed=f"{self.input_shape}, for which the network was compacted",
                hint="compact it with an example of the size that it is to take, or columns=False",
            )
        return F.pad(maps, self.padding).contiguous().flatten(1)


class _Product(nn.Linear):
    """im2col of one group's columns from padded images, multiplied by the group's filters.

    A column of the im2col matrix is a shifted window of the image. All windows are one strided view
    of the images, from which the used ones are copied, a few images at a time to stay in the cache.
    """

    offsets: Tensor

    def __init__(
        self, conv: nn.Conv2d, group: int, columns: Tensor, input_shape: tuple[int, int, int]
    ) -> None:
        own, filters = columns[group], conv.out_channels // len(columns)
        super().__init__(
            int(own.sum()), filters, bias=conv.bias is not None, dtype=conv.weight.dtype,
            device=conv.weight.device,
        )  # fmt: skip
        units = slice(group * filters, (group + 1) * filters)
        with torch.no_grad():
            self.weight.copy_(conv.weight[units][:, own])
            if conv.bias is not None:
                self.bias.copy_(conv.bias[units])
        above, beside = padding_of(conv)
        height, width = input_shape[1] + 2 * above, input_shape[2] + 2 * beside
        (rows_apart, columns_apart), (down, across) = conv.dilation, conv.stride
        rows = height - rows_apart * (conv.kernel_size[0] - 1)
        places = width - columns_apart * (conv.kernel_size[1] - 1)
        self.output_size = (rows - 1) // down + 1, (places - 1) // across + 1
        self.strides = down * width, across
        channel, row, column = own.nonzero(as_tuple=True)
        channel = channel + group * len(own)
        offsets = (channel * height + row * rows_apart) * width + column * columns_apart
        # Offset of each column's window in a flat padded image.
        self.register_buffer("offsets", offsets, persistent=False)
        self.span = int(offsets.max()) + 1
        self.images_at_once = max(1, _NEAR // (offsets.numel() * math.prod(self.output_size)))

    def forward(self, images: Tensor) -> Tensor:
        """[N, numbers of a padded image] → [N, filters, H', W']."""
        if (images.requires_grad and torch.is_grad_enabled()) or is_transformed():
            return self._multiplied(self._gathered(images))
        step = self.images_at_once
        near = (images[first : first + step] for first in range(0, len(images), step))
        parts = [self._multiplied(self._copied(some)) for some in near]
        return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts)

    def _copied(self, images: Tensor) -> Tensor:
        size, strides = (self.span, len(images), *self.output_size), (1, images.shape[1])
        return images.as_strided(size, strides + self.strides).index_select(0, self.offsets)

    def _gathered(self, images: Tensor) -> Tensor:
        """Differentiable im2col by index: the gradient of the strided view would take more memory.

        Tangents and batched dimensions may have another memory layout than the view assumes.
        """
        steps = (torch.arange(size, device=images.device) for size in self.output_size)
        down, across = (step * stride for step, stride in zip(steps, self.strides, strict=True))
        places = self.offsets[:, None, None] + down[:, None] + across
        taken = images.index_select(1, places.flatten())
        return taken.view(len(images), *places.shape).transpose(0, 1)

    def _multiplied(self, columns: Tensor) -> Tensor:
        """[columns, N, H', W'] → [N, filters, H', W']."""
        flat = columns.flatten(1)
        outputs = (
            torch.mm(self.weight, flat)
            if self.bias is None
            else torch.addmm(self.bias[:, None], self.weight, flat)
        )
        return outputs.view(-1, *columns.shape[1:]).transpose(0, 1)

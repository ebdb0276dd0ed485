"""Unstructured sparse convolution: a kernel that skips single zero weights.

Compressed sparse rows over an im2col matrix read an index and an input for each weight and output.
Here each nonzero weight of a filter multiplies a whole vector of outputs at a time (Park et al.
2017, arXiv 1608.01409).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from robench.deploy.backends import kernel_for
from robench.deploy.dispatcher import is_unwatched
from robench.deploy.forms.extents import Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from robench.deploy.backends import Kernel

__all__ = ["ScatteredConv2d"]


class ScatteredConv2d(nn.Module):
    """A convolution that stores and multiplies its nonzero weights only.

    Gradients reach its inputs; its own weights take none. Where the kernel cannot be used
    (gradients, tangents and transforms of torch, other precisions and devices, a machine without
    kernels), torch computes the dense convolution.

    Args:
        conv: the convolution, padded with zeros.
        input_shape: (C, H, W) of its input.
    """

    is_one_step: ClassVar[bool] = True
    values: Tensor
    places: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        weight = conv.weight.detach().flatten(1)
        alive = weight != 0
        alive[:, 0] |= ~alive.any(1)  # the kernel needs at least one weight per filter
        self.register_buffer("values", weight[alive])
        self.register_buffer("places", alive.flatten().nonzero().flatten())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        self.weight_shape, self.input_shape = conv.weight.shape, input_shape
        self.geometry = Geometry.of(conv)
        self._kernel: Kernel | None = None

    @property
    def weight(self) -> Tensor:
        """All weights, [filters, C / G, kernel height, kernel width], zeros included."""
        flat = self.values.new_zeros(math.prod(self.weight_shape))
        return flat.index_put((self.places,), self.values).view(self.weight_shape)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W']."""
        if is_unwatched() and maps.shape[1:] == self.input_shape:
            kernel = self._kernel or self._compiled()
            computed = None if kernel is None else kernel(maps)
            if computed is not None:
                return computed
        geometry = self.geometry
        return F.conv2d(
            maps, self.weight, self.bias, geometry.stride, geometry.padding, geometry.dilation,
            geometry.groups,
        )  # fmt: skip

    def _load_from_state_dict(self, *state: Any, **options: Any) -> None:
        """Loaded weights may be nonzero at other positions."""
        super()._load_from_state_dict(*state, **options)
        self._kernel = None

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the kernel, which is compiled again."""
        return {**self.__dict__, "_kernel": None}

    def _compiled(self) -> Kernel | None:
        example = torch.empty(1, *self.input_shape, dtype=torch.float32, device="cpu")
        self._kernel = kernel_for(self, example)
        return self._kernel

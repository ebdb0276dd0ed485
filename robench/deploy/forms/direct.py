"""Direct convolution: a kernel compiled for the shape, without im2col.

The kernel (:func:`robench.deploy.backends.kernel_for`) reads each column in place, from the input.
A sum, a ReLU and a max pooling after the convolution can be fused at almost no cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from robench.deploy.backends import kernel_for
from robench.deploy.dispatcher import is_unwatched
from robench.deploy.forms.gathered import GatheredConv2d

if TYPE_CHECKING:
    from torch import Tensor

    from robench.deploy.backends import Kernel

__all__ = ["DirectConv2d"]


class DirectConv2d(nn.Module):
    """A convolution with what follows it, by a kernel compiled for its shape.

    Where the kernel cannot be used (gradients, tangents and transforms of torch, other precisions
    and devices, a machine without kernels, observers of the layers within), the original layer
    computes the same function.

    Args:
        conv: the convolution, padded with zeros.
        input_shape: (C, H, W) of its input.
        columns: bool [G, C / G, kernel height, kernel width], columns that each group uses, at
            least one; all of them by default.
        added: whether a second input, of the size of the output, is summed with the output before
            the ReLU; not together with `pooled`.
        rectified: whether a ReLU follows.
        pooled: whether max pooling of 2 x 2 with stride 2 follows, which rounds down.
    """

    is_one_step: ClassVar[bool] = True

    def __init__(
        self,
        conv: nn.Conv2d,
        input_shape: tuple[int, int, int],
        columns: Tensor | None = None,
        *,
        added: bool = False,
        rectified: bool = False,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        self.layer = conv if columns is None else GatheredConv2d(conv, columns, input_shape)
        self.input_shape = input_shape
        self.added, self.rectified, self.pooled = added, rectified, pooled
        self._kernel: Kernel | None = None

    def forward(self, maps: Tensor, added: Tensor | None = None) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W'].

        Args:
            maps: input of the convolution.
            added: second input, of the size of the output, if the form was made with `added`.

        Raises:
            InputError: the input has another size, and some columns are left out.
        """
        is_served = is_unwatched() and maps.shape[1:] == self.input_shape
        if is_served and (added is not None) == self.added:
            kernel = self._kernel or self._compiled()
            # A layer that was replaced is not the one whose weights the kernel reads.
            if kernel is not None and kernel.layer is self._modules["layer"]:
                computed = kernel(maps, added)
                if computed is not None:
                    return computed
        outputs: Tensor = self.layer(maps)
        if added is not None:
            outputs = outputs + added
        if self.rectified:
            outputs = F.relu(outputs)
        return F.max_pool2d(outputs, 2) if self.pooled else outputs

    @property
    def is_alone(self) -> bool:
        """Whether nothing is fused into the convolution."""
        return not (self.added or self.rectified or self.pooled)

    @property
    def kernel(self) -> Kernel | None:
        """The compiled kernel; ``None`` on a machine without kernels."""
        return self._kernel or self._compiled()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the kernel, which is compiled again."""
        return {**self.__dict__, "_kernel": None}

    def _compiled(self) -> Kernel | None:
        # Not on torch's default device: only the shape of the example matters.
        example = torch.empty(1, *self.input_shape, dtype=torch.float32, device="cpu")
        self._kernel = kernel_for(
            self.layer, example, added=self.added, rectified=self.rectified, pooled=self.pooled
        )
        return self._kernel

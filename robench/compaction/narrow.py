"""Convolutions of few filters, several pixels at a time; pooling by maxima of whole rows.

A processor multiplies vectors of 8 or 16 numbers, and the libraries put the filters of one pixel in
a vector: five filters take as long as sixteen. Here the filters of neighbouring pixels share one.
Filters of `pixels` neighbours in a row are the same kernel, shifted: together they are one
convolution with `pixels` times the filters, a wider kernel and a wider stride, and with channels
last in memory its outputs lie where those of the narrow convolution would.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from robench.compaction.columns import padding_of
from robench.compaction.observe import observe
from robench.compaction.quickest import quickest, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Form: TypeAlias = "Callable[[Any], nn.Module]"
"""Makes another form of a module that it fits."""

__all__ = ["Form", "RowMaxPool2d", "WidenedConv2d", "quickest_forms"]

_NARROW = 32
"""Filters from which vectors are full enough; such convolutions are not tried."""
_PIXELS = (2, 3, 4)
_SLACK_S = 5e-6
"""What a form may lose with one input: the price of a step or two more, for gains with a batch."""


class WidenedConv2d(nn.Module):
    """A convolution that computes several neighbouring pixels of a row at a time.

    Args:
        conv: the convolution: one group, not dilated, padded with zeros by numbers.
        pixels: how many; the width of what it writes must be a multiple.
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


def quickest_forms(model: nn.Module, example: Tensor) -> dict[str, Form]:
    """The convolutions and poolings that another form computes more quickly here.

    Args:
        model: in evaluation mode, in the precision and on the device in which it will run; it
            stays as it is.
        example: a batch of inputs; one input and the whole batch are timed.

    Returns:
        Qualified name → what makes the other form of it.
    """
    parts = {name: part for name, part in model.named_modules() if _may_be_replaced(part)}
    found: dict[str, Form] = {}
    for name, (read, written) in observe(model, parts, example).items():
        forms = _forms(parts[name], written)
        made = {other: form(parts[name]).eval() for other, form in forms.items()}
        best = quickest(timed({"as it is": parts[name], **made}, read), _SLACK_S)
        if best in forms:
            found[name] = forms[best]
    return found


def _may_be_replaced(part: nn.Module) -> bool:
    if type(part) is nn.MaxPool2d:
        plain = (part.padding, part.dilation, part.return_indices, part.ceil_mode)
        return plain == (0, 1, False, False) and part.stride == part.kernel_size
    return (
        type(part) is nn.Conv2d
        and part.out_channels < _NARROW
        and (part.groups, part.dilation, part.padding_mode) == (1, (1, 1), "zeros")
        and not isinstance(part.padding, str)
    )


def _forms(part: nn.Module, written: Tensor) -> dict[str, Form]:
    if isinstance(part, nn.MaxPool2d):
        return {"rows": RowMaxPool2d}
    return {
        f"{pixels} pixels": partial(WidenedConv2d, pixels=pixels)
        for pixels in _PIXELS
        if written.shape[3] % pixels == 0
    }

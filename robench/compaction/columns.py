"""Convolutions over the columns that are left, after shape-wise sparsity.

A column of a convolution is one position of the kernel in one input channel, over all filters: a
shape fibre (Wen et al. 2016, arXiv 1608.03665). Columns that are zero leave a convolution of the
same size, which no dense kernel computes any quicker. Two forms do: a smaller kernel, where zero
columns lie along its border; and the columns that are left gathered into a matrix, and multiplied.
Which is quickest depends on the shape, so each is timed against the dense layer, and a layer is
only replaced where the other form wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import nn
from torch.nn import functional as F

from robench.compaction.observe import observe
from robench.compaction.quickest import quickest, sizes, timed
from robench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

__all__ = [
    "ColumnChoice",
    "CroppedConv2d",
    "GatheredConv2d",
    "apply_columns",
    "choose_columns",
    "padding_of",
    "used_columns",
]

Form = Literal["dense", "cropped", "gathered"]

_NEAR = 2**20
"""Numbers that are gathered at a time: 4 MiB in single precision, about what a near cache holds."""
_LEAST_SHARE = 0.1
"""Share of zero columns below which nothing is tried."""


@dataclass(frozen=True)
class ColumnChoice:
    """How a convolution with zero columns is computed.

    Attributes:
        name: qualified name of the layer.
        form: ``dense`` as before, ``cropped`` to a smaller kernel, or ``gathered``.
        columns: input channels times kernel positions.
        columns_kept: those that some filter uses.
        input_shape: (channels, height, width) that the layer reads.
        window: first row, last row, first column, last column of the kernel that are used.
        latency_ms: form → batch size → milliseconds, the best of several calls.
    """

    name: str
    form: Form
    columns: int
    columns_kept: int
    input_shape: tuple[int, int, int]
    window: tuple[int, int, int, int]
    latency_ms: dict[str, dict[str, float]]


class CroppedConv2d(nn.Module):
    """A convolution with a smaller kernel, and the padding that puts it where it was.

    Args:
        conv: the convolution; its kernel's border may be zero.
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
            conv.in_channels, conv.out_channels, size, _pair(conv.stride), 0, _pair(conv.dilation),
            conv.groups, bias=conv.bias is not None, dtype=conv.weight.dtype,
            device=conv.weight.device,
        )  # fmt: skip
        with torch.no_grad():
            self.conv.weight.copy_(conv.weight[..., top : bottom + 1, left : right + 1])
            if self.conv.bias is not None and conv.bias is not None:
                self.conv.bias.copy_(conv.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W'], as the whole kernel would give."""
        outputs: Tensor = self.conv(F.pad(maps, self.padding))
        return outputs


class GatheredConv2d(nn.Module):
    """A convolution as products with the columns that some filter uses, one product a group.

    Args:
        conv: the convolution, padded with zeros.
        columns: bool [G, C / G, kernel height, kernel width], which each group uses, at least one.
        input_shape: (C, H, W) of the maps that it reads; others are refused.
    """

    columns: Tensor

    def __init__(self, conv: nn.Conv2d, columns: Tensor, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("columns", columns)
        self.padded = _Padded(conv, input_shape)
        self.products = nn.ModuleList(
            _Product(conv, group, columns, input_shape) for group in range(len(columns))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W'].

        Raises:
            InputError: the maps are of another size.
        """
        images = self.padded(maps)
        outputs = [product(images) for product in self.products]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


class _Padded(nn.Module):
    """The maps with their padding, one row an image; maps of another size are refused."""

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
    """The columns of one group, gathered from padded images and multiplied by its filters.

    A column reads the same window of every image, shifted: a view of the images, of which the
    columns that are used are copied. Few images are gathered at a time, so that they stay near.
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
        # Where in a padded image each column begins.
        self.register_buffer("offsets", offsets, persistent=False)
        self.span = int(offsets.max()) + 1
        self.images_at_once = max(1, _NEAR // (offsets.numel() * math.prod(self.output_size)))

    def forward(self, images: Tensor) -> Tensor:
        """[N, numbers of a padded image] → [N, filters, H', W']."""
        if images.requires_grad and torch.is_grad_enabled():
            return self._multiplied(self._gathered(images))
        step = self.images_at_once
        near = (images[first : first + step] for first in range(0, len(images), step))
        parts = [self._multiplied(self._copied(some)) for some in near]
        return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts)

    def _copied(self, images: Tensor) -> Tensor:
        size, strides = (self.span, len(images), *self.output_size), (1, images.shape[1])
        return images.as_strided(size, strides + self.strides).index_select(0, self.offsets)

    def _gathered(self, images: Tensor) -> Tensor:
        """The same, place by place: the gradient of that view would take far more memory."""
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


def choose_columns(model: nn.Module, example: Tensor) -> list[ColumnChoice]:
    """Find the quickest form of every convolution with zero columns.

    Args:
        model: in evaluation mode, in the precision and on the device in which it will run; it
            stays as it is.
        example: a batch of inputs; one input and the whole batch are timed.

    Returns:
        One choice for each convolution with enough zero columns, in module order.
    """
    found = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, nn.Conv2d) and _may_be_replaced(part)
    }
    seen = observe(model, found, example)
    return [_choose(name, conv, seen[name][0]) for name, conv in found.items()]


def apply_columns(
    model: nn.Module, choices: Iterable[ColumnChoice], used: Mapping[str, Tensor] | None = None
) -> None:
    """Give convolutions the forms that were chosen, in place.

    Args:
        model: changed in place.
        choices: of a network with these layers.
        used: layer → bool [G, C / G, kernel height, kernel width], the columns that each group
            uses; read off its weight by default.

    Raises:
        KeyError, AttributeError: the choices do not fit the model.
    """
    for choice in choices:
        conv = model.get_submodule(choice.name)
        if not isinstance(conv, nn.Conv2d):
            raise AttributeError(f"{choice.name!r} is no Conv2d")
        parent, _, own = choice.name.rpartition(".")
        columns = used_columns(conv) if used is None else used[choice.name]
        setattr(model.get_submodule(parent), own, _formed(choice, conv, columns).eval())


def _formed(choice: ColumnChoice, conv: nn.Conv2d, columns: Tensor) -> nn.Module:
    if choice.form == "gathered":
        return GatheredConv2d(conv, columns, choice.input_shape)
    return CroppedConv2d(conv, choice.window) if choice.form == "cropped" else conv


def _pair(extent: tuple[int, ...]) -> tuple[int, int]:
    return extent[0], extent[1]


def padding_of(conv: nn.Conv2d) -> tuple[int, int]:
    """Zeros above and beside the maps that a convolution reads.

    Raises:
        TypeError: the padding is a word.
    """
    if isinstance(conv.padding, str):
        raise TypeError(f"padding {conv.padding!r}")
    return conv.padding[0], conv.padding[1]


def _may_be_replaced(conv: nn.Conv2d) -> bool:
    is_plain = type(conv) is nn.Conv2d and conv.padding_mode == "zeros"
    if not is_plain or isinstance(conv.padding, str):
        return False
    used = used_columns(conv)
    return bool(used.flatten(1).any(1).all()) and float((~used).float().mean()) >= _LEAST_SHARE


def used_columns(conv: nn.Conv2d) -> Tensor:
    """Bool [G, C / G, kernel height, kernel width], which columns some filter of a group uses."""
    alive = conv.weight.detach() != 0
    return alive.view(conv.groups, -1, *conv.weight.shape[1:]).any(1)


def _window(used: Tensor) -> tuple[int, int, int, int]:
    """The smallest part of the kernel that holds everything that is used."""
    kernel = used.flatten(0, 1).any(0)
    rows, columns = kernel.any(1).nonzero(), kernel.any(0).nonzero()
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _choose(name: str, conv: nn.Conv2d, maps: Tensor) -> ColumnChoice:
    used, shape = used_columns(conv), (maps.shape[1], maps.shape[2], maps.shape[3])
    window = _window(used)
    forms: dict[str, nn.Module] = {"dense": conv}
    if window != (0, conv.kernel_size[0] - 1, 0, conv.kernel_size[1] - 1):
        forms["cropped"] = CroppedConv2d(conv, window)
    forms["gathered"] = GatheredConv2d(conv, used, shape)
    seconds = timed(forms, maps)
    return ColumnChoice(
        name=name,
        form=cast("Form", quickest(seconds)),
        columns=used.numel(),
        columns_kept=int(used.sum()),
        input_shape=shape,
        window=window,
        latency_ms={
            form: {str(size): 1e3 * taken for size, taken in zip(sizes(maps), times, strict=True)}
            for form, times in seconds.items()
        },
    )

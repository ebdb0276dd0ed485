"""A convolution by machine code of its own, where nothing has to be lowered.

The kernel is compiled for the shape (:mod:`robench.deploy.kernels`), and reads each column
where it lies. A rectifier and a pooling behind the convolution cost next to nothing there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import nn
from torch.nn import functional as F

from robench.deploy.forms.extents import padding_of, pair
from robench.deploy.forms.gathered import GatheredConv2d
from robench.deploy.forms.watched import is_plain, is_row, is_untouched, is_unwatched
from robench.deploy.kernels.layout import Shape, channels_of
from robench.deploy.kernels.native import kernel_for, this_machine

if TYPE_CHECKING:
    from torch import Tensor

    from robench.deploy.kernels.layout import Layout, Machine

__all__ = ["NUMBER_BYTES", "DirectConv2d", "has_kernel", "indices", "shape_of"]

_MOST_GROUPS = 4
"""Each is a call of its own."""
NUMBER_BYTES = 4


def has_kernel(conv: nn.Conv2d, maps: Tensor) -> bool:
    """Whether there is a kernel for the convolution of these maps on this machine."""
    return (
        (maps.device.type, maps.dtype) == ("cpu", torch.float32)
        and conv.groups <= _MOST_GROUPS
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and this_machine() is not None
    )


def shape_of(conv: nn.Conv2d, input_shape: tuple[int, int, int]) -> Shape:
    """The shape of one group of a convolution, with all its columns."""
    return Shape(
        channels=conv.in_channels // conv.groups,
        filters=conv.out_channels // conv.groups,
        columns=conv.weight[0].numel(),
        maps=(input_shape[1], input_shape[2]),
        kernel=pair(conv.kernel_size),
        stride=pair(conv.stride),
        padding=padding_of(conv),
        dilation=pair(conv.dilation),
        all_channels=conv.in_channels,
        all_filters=conv.out_channels,
        has_bias=conv.bias is not None,
    )


class DirectConv2d(nn.Module):
    """A convolution, and what follows it, by a kernel that was compiled for its shape.

    What the kernel does not serve (gradients, tangents and transforms of torch, other precisions
    and devices, a machine without such kernels, observers of the layers within) the layer that it
    was made of computes.

    Args:
        conv: the convolution, padded with zeros.
        input_shape: (C, H, W) of the maps that it reads.
        columns: bool [G, C / G, kernel height, kernel width], which each group uses, at least one;
            all of them by default.
        added: whether maps of the size of its outputs are added first to what follows; no pooling
            then.
        rectified: whether a rectifier follows.
        pooled: whether max pooling of 2 × 2 follows, which rounds down.
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
        self.input_shape, self.rectified, self.pooled = input_shape, rectified, pooled
        self._shape = replace(
            shape_of(conv, input_shape), added=added, rectified=rectified, pooled=pooled
        )
        self._written_shape = (conv.out_channels, *self._shape.written)
        self._calls: list[_Call] | None = None
        self._inner: list[nn.Module] = []

    def forward(self, maps: Tensor, added: Tensor | None = None) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W'].

        Args:
            maps: what it reads.
            added: as large as what it writes, where it was made to be given that.

        Raises:
            InputError: the maps are of another size, and some columns are left out.
        """
        if self._are_served(maps, added):
            calls = self._calls or self._found()
            if calls and self._is_as_made(calls):
                return self._computed(maps.contiguous(), added, calls)
        outputs: Tensor = self.layer(maps)
        if added is not None:
            outputs = outputs + added
        if self.rectified:
            outputs = F.relu(outputs)
        return F.max_pool2d(outputs, 2) if self.pooled else outputs

    @property
    def is_alone(self) -> bool:
        """Whether it is the convolution, without anything behind it."""
        return not (self._shape.added or self.rectified or self.pooled)

    @property
    def layouts(self) -> list[Layout]:
        """How the kernel of each group computes it; none where this machine has no kernels."""
        return [call.layout for call in self._calls or self._found()]

    def __getstate__(self) -> dict[str, Any]:
        """All but the kernels, which are found again."""
        return {**self.__dict__, "_calls": None, "_inner": []}

    def _are_served(self, maps: Tensor, added: Tensor | None) -> bool:
        """Whether a kernel reads these maps, and nobody wants to know how they are used."""
        return (
            is_unwatched()
            and is_plain(maps)
            and maps.shape[1:] == self.input_shape
            and (added is not None) == self._shape.added
            and (added is None or is_plain(added))
            and (added is None or added.shape == (len(maps), *self._written_shape))
        )

    def _is_as_made(self, calls: list[_Call]) -> bool:
        """Whether the layer within is the one that the kernels read, and nobody watches it."""
        return (
            self._inner[0] is self._modules["layer"]
            and all(map(is_untouched, self._inner))
            and all(map(_Call.is_plain, calls))
        )

    def _computed(self, maps: Tensor, added: Tensor | None, calls: list[_Call]) -> Tensor:
        count = len(maps)
        outputs = maps.new_empty(count, *self._written_shape)
        beside = None if added is None else added.contiguous()
        read, written = maps.data_ptr(), outputs.data_ptr()
        for call in calls:
            call(read, 0 if beside is None else beside.data_ptr(), written, count)
        return outputs

    def _found(self) -> list[_Call]:
        """The kernels of the groups; none where this machine has none."""
        machine = this_machine()
        if machine is None:
            return []
        if type(self.layer) not in (nn.Conv2d, GatheredConv2d):  # as parametrised ones are
            return []
        self._inner = list(self.layer.modules())
        if isinstance(self.layer, GatheredConv2d):
            parts = zip(self.layer.products, self.layer.columns, strict=True)
            self._calls = [
                _Call(product, 0, own, self._shape, machine, group)
                for group, (product, own) in enumerate(parts)
            ]
        else:
            shape, groups = self._shape, self.layer.groups
            size = shape.all_channels // groups, *shape.kernel
            own = torch.ones(size, dtype=torch.bool, device="cpu")
            self._calls = [
                _Call(self.layer, group, own, shape, machine, group) for group in range(groups)
            ]
        return self._calls


class _Call:
    """What one group's kernel is called with, ready to hand: small layers take microseconds.

    Args:
        layer: whose weights are read, at each call: they may change.
        part: which of its equal parts the weights of the group are.
        columns: bool [C / G, kernel height, kernel width], those that the group uses.
        shape: of a group with all columns.
        machine: this one.
        group: its number.
    """

    def __init__(
        self,
        layer: nn.Module,
        part: int,
        columns: Tensor,
        shape: Shape,
        machine: Machine,
        group: int,
    ) -> None:
        places = [(channel, row, place) for channel, row, place in columns.nonzero().tolist()]
        channels = channels_of(places)
        own = replace(shape, channels=len(channels), columns=len(places))
        self._kernel = kernel_for(own, machine)
        self.layout = self._kernel.layout
        self._parameters, self._has_bias = layer._parameters, shape.has_bias
        # Of the layer, not of its weight, in whose place there may be something else by now.
        self._shape = (
            (shape.filters, len(places))
            if isinstance(layer, nn.Linear)
            else (shape.all_filters, len(columns), *shape.kernel)
        )
        self._channels = indices(channels)
        self._offsets = indices(self.layout.offsets(places))
        self._indices = self._channels.data_ptr(), self._offsets.data_ptr()
        self._read = NUMBER_BYTES * group * len(columns) * math.prod(shape.maps)
        self._written = NUMBER_BYTES * group * shape.filters * math.prod(shape.written)
        self._weight = NUMBER_BYTES * part * shape.filters * len(places)
        self._bias = NUMBER_BYTES * part * shape.filters

    def is_plain(self) -> bool:
        """Whether the weights are numbers in a row of memory."""
        weight, bias = self._parameters.get("weight"), self._parameters.get("bias")
        return (
            weight is not None
            and is_row(weight, self._shape)
            and (bias is not None) == self._has_bias
            and (bias is None or is_row(bias, self._shape[:1]))
        )

    def __call__(self, read: int, added: int, written: int, count: int) -> None:
        """Images at one address to outputs at another."""
        weight, bias = cast("Tensor", self._parameters["weight"]), self._parameters["bias"]
        channels, offsets = self._indices
        self._kernel(
            read + self._read,
            added + self._written,
            written + self._written,
            weight.data_ptr() + self._weight,
            channels,
            offsets,
            0 if bias is None else bias.data_ptr() + self._bias,
            count,
        )


def indices(numbers: list[int]) -> Tensor:
    """Numbers as a kernel reads them, whatever the default device of torch is."""
    return torch.tensor(numbers, dtype=torch.int32, device="cpu")

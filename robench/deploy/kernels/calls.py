"""Kernels of whole layers: which layers have one, and how it is called with their tensors.

:mod:`robench.deploy.backends` calls `why_off`, `supports` and `kernel_for`; nobody else does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from robench.deploy.dispatcher import is_plain, is_row, is_untouched, parameters_of
from robench.deploy.forms.extents import Geometry
from robench.deploy.forms.gathered import GatheredConv2d
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.deploy.kernels.layout import Shape, channels_of
from robench.deploy.kernels.native import kernel_for as compiled_for
from robench.deploy.kernels.native import this_machine, why_off

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from robench.deploy.kernels.layout import Layout, Machine

__all__ = ["kernel_for", "supports", "why_off"]

_MOST_GROUPS = 4
"""Largest number of groups: each is a call of its own."""
_FLOAT_BYTES = 4


def supports(conv: nn.Conv2d, example: Tensor) -> bool:
    """Whether there is a kernel for the convolution of such inputs."""
    return (
        (example.device.type, example.dtype) == ("cpu", torch.float32)
        and conv.groups <= _MOST_GROUPS
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
    )


def kernel_for(
    layer: nn.Module, example: Tensor, *, added: bool, rectified: bool, pooled: bool
) -> DirectKernel | ScatteredKernel | None:
    """See :func:`robench.deploy.backends.kernel_for`."""
    machine = this_machine()
    if machine is None:
        return None
    if isinstance(layer, ScatteredConv2d):
        shape = _shape(layer.geometry, example)
        return ScatteredKernel(layer, replace(shape, scattered=True), machine)
    # Exactly these classes: torch makes a subclass of a layer that is parametrised.
    if type(layer) is GatheredConv2d:
        geometry = layer.geometry
    elif type(layer) is nn.Conv2d and not isinstance(layer.padding, str):
        geometry = Geometry.of(layer)
    else:
        return None
    shape = _shape(geometry, example)
    fused = replace(shape, added=added, rectified=rectified, pooled=pooled)
    return DirectKernel(layer, fused, machine)


def _shape(geometry: Geometry, example: Tensor) -> Shape:
    """The shape of one group of a convolution, with all its columns."""
    channels = geometry.channels // geometry.groups
    return Shape(
        channels=channels,
        filters=geometry.filters // geometry.groups,
        columns=channels * math.prod(geometry.kernel),
        maps=(example.shape[2], example.shape[3]),
        kernel=geometry.kernel,
        stride=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
        all_channels=geometry.channels,
        all_filters=geometry.filters,
        has_bias=geometry.has_bias,
    )


class DirectKernel:
    """A convolution over whole columns, one call per group.

    Args:
        layer: ``Conv2d`` or ``GatheredConv2d``, whose weights are read.
        shape: of a group with all columns.
        machine: this one.
    """

    def __init__(self, layer: nn.Conv2d | GatheredConv2d, shape: Shape, machine: Machine) -> None:
        self.layer = layer
        self._written_shape = (shape.all_filters, *shape.written)
        self._inner = list(layer.modules())
        parts: Iterable[tuple[nn.Module, int, Tensor]]
        if isinstance(layer, GatheredConv2d):
            # Each group has a matrix of weights of its own, over the columns that it uses.
            pairs = zip(layer.products, layer.columns, strict=True)
            parts = [(product, 0, columns) for product, columns in pairs]
        else:
            size = shape.all_channels // layer.groups, *shape.kernel
            columns = torch.ones(size, dtype=torch.bool, device="cpu")
            parts = [(layer, group, columns) for group in range(layer.groups)]
        self._calls = [
            _DirectCall(module, part, columns, shape, machine, group)
            for group, (module, part, columns) in enumerate(parts)
        ]

    @property
    def layouts(self) -> list[Layout]:
        """How each group is computed."""
        return [call.layout for call in self._calls]

    def __call__(self, images: Tensor, added: Tensor | None = None) -> Tensor | None:
        """See :class:`robench.deploy.backends.Kernel`."""
        written_shape = (len(images), *self._written_shape)
        if not (
            is_plain(images)
            and (added is None or (is_plain(added) and added.shape == written_shape))
            and all(map(is_untouched, self._inner))
            and all(map(_DirectCall.is_plain, self._calls))
        ):
            return None
        images = images.contiguous()
        outputs = images.new_empty(written_shape)
        beside = None if added is None else added.contiguous()
        read, written = images.data_ptr(), outputs.data_ptr()
        for call in self._calls:
            call(read, 0 if beside is None else beside.data_ptr(), written, len(images))
        return outputs


class _DirectCall:
    """Arguments of one group's kernel, prepared: a call of a small layer takes microseconds.

    Args:
        layer: whose weights are read, at each call: they may change.
        part: index of the group's weights, where the layer holds those of all groups.
        columns: bool [C / G, kernel height, kernel width], those that the group uses.
        shape: of a group with all columns.
        machine: this one.
        group: its index.
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
        self._kernel = compiled_for(own, machine)
        self.layout = self._kernel.layout
        self._tensors, self._has_bias = parameters_of(layer), shape.has_bias
        # From the layer's sizes, not from its weight, which may have been replaced.
        self._shape = (
            (shape.filters, len(places))
            if isinstance(layer, nn.Linear)
            else (shape.all_filters, len(columns), *shape.kernel)
        )
        self._channels = _indices(channels)
        self._offsets = _indices(self.layout.offsets(places))
        self._index_addresses = self._channels.data_ptr(), self._offsets.data_ptr()
        # Byte offsets of this group in the tensors of all groups.
        self._read = _FLOAT_BYTES * group * len(columns) * math.prod(shape.maps)
        self._written = _FLOAT_BYTES * group * shape.filters * math.prod(shape.written)
        self._weight = _FLOAT_BYTES * part * shape.filters * len(places)
        self._bias = _FLOAT_BYTES * part * shape.filters

    def is_plain(self) -> bool:
        """Whether weight and bias are contiguous float32 memory of the compiled shape."""
        weight, bias = self._tensors.get("weight"), self._tensors.get("bias")
        return (
            weight is not None
            and is_row(weight, self._shape)
            and (bias is not None) == self._has_bias
            and (bias is None or is_row(bias, self._shape[:1]))
        )

    def __call__(self, read: int, added: int, written: int, count: int) -> None:
        """Compute `count` images; the others are addresses of the tensors of all groups."""
        weight, bias = cast("Tensor", self._tensors["weight"]), self._tensors["bias"]
        channels, offsets = self._index_addresses
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


class ScatteredKernel:
    """A convolution over single nonzero weights, one call per group.

    Args:
        layer: whose weights are read.
        shape: of a group with all columns.
        machine: this one.
    """

    def __init__(self, layer: ScatteredConv2d, shape: Shape, machine: Machine) -> None:
        self.layer, self._has_bias = layer, shape.has_bias
        self._written_shape = (shape.all_filters, *shape.written)
        # Nonzero weights per filter, then where each filter begins among all weights.
        filters = torch.div(layer.places, shape.columns, rounding_mode="floor")
        counts = torch.bincount(filters, minlength=shape.all_filters).tolist()
        edges, own = [0, *accumulate(counts)], shape.filters
        self._calls = [
            _ScatteredCall(
                shape,
                machine,
                (layer.places[edges[first] : edges[first + own]] % shape.columns).tolist(),
                edges[first : first + own + 1],
                first // own,
            )
            for first in range(0, shape.all_filters, own)
        ]

    @property
    def layouts(self) -> list[Layout]:
        """How each group is computed."""
        return [call.layout for call in self._calls]

    def __call__(self, images: Tensor, added: Tensor | None = None) -> Tensor | None:
        """See :class:`robench.deploy.backends.Kernel`."""
        values, bias = self.layer.values, self.layer.bias
        if not (
            added is None
            and is_plain(images)
            and is_row(values, self.layer.places.shape)
            and (bias is not None) == self._has_bias
            and (bias is None or is_row(bias, self._written_shape[:1]))
        ):
            return None
        images = images.contiguous()
        outputs = images.new_empty(len(images), *self._written_shape)
        places = images.data_ptr(), outputs.data_ptr(), values.data_ptr()
        for call in self._calls:
            call(*places, 0 if bias is None else bias.data_ptr(), len(images))
        return outputs


class _ScatteredCall:
    """Arguments of one group's kernel.

    Args:
        shape: of the group.
        machine: this one.
        places: of its weights, each in its filter.
        edges: where each of its filters begins among all weights, and where the last one ends.
        group: its index.
    """

    def __init__(
        self, shape: Shape, machine: Machine, places: list[int], edges: list[int], group: int
    ) -> None:
        height, width = shape.kernel
        columns = [(one // (height * width), one // width % height, one % width) for one in places]
        channels = channels_of(columns)
        mean = max(1, len(places) // shape.filters)
        own = replace(shape, channels=len(channels), columns=mean)
        self._kernel = compiled_for(own, machine)
        self.layout = self._kernel.layout
        begins = [edge - edges[0] for edge in edges]
        self._channels = _indices(channels + begins)
        self._offsets = _indices(self.layout.offsets(columns))
        self._read = _FLOAT_BYTES * group * shape.channels * math.prod(shape.maps)
        self._written = _FLOAT_BYTES * group * shape.filters * math.prod(shape.written)
        self._values = _FLOAT_BYTES * edges[0]
        self._bias = _FLOAT_BYTES * group * shape.filters

    def __call__(self, read: int, written: int, values: int, bias: int, count: int) -> None:
        """Compute `count` images; the others are addresses of the tensors of all groups."""
        self._kernel(
            read + self._read,
            0,
            written + self._written,
            values + self._values,
            self._channels.data_ptr(),
            self._offsets.data_ptr(),
            bias + self._bias if bias else 0,
            count,
        )


def _indices(numbers: list[int]) -> Tensor:
    """Numbers as a kernel reads them, whatever the default device of torch is."""
    return torch.tensor(numbers, dtype=torch.int32, device="cpu")

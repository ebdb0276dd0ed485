"""A convolution whose single weights are zero, by a kernel that skips each of them.

Compressed sparse rows over maps that were lowered read an index and a number of the maps for each
weight and output. Here a filter goes through the weights that it has, and each multiplies a whole
vector of outputs at a time (Park et al. 2017, arXiv 1608.01409).
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from robench.deploy.forms.direct import NUMBER_BYTES, indices, shape_of
from robench.deploy.forms.extents import padding_of, pair
from robench.deploy.forms.watched import is_plain, is_row, is_unwatched
from robench.deploy.kernels.layout import channels_of
from robench.deploy.kernels.native import kernel_for, this_machine

if TYPE_CHECKING:
    from torch import Tensor

    from robench.deploy.kernels.layout import Machine, Shape

__all__ = ["ScatteredConv2d"]


class ScatteredConv2d(nn.Module):
    """A convolution without those of its weights that are zero.

    Gradients reach its inputs; its own weights take none. What the kernel does not serve
    (gradients, tangents and transforms of torch, other precisions and devices, a machine without
    such kernels) torch computes from all weights.

    Args:
        conv: the convolution, padded with zeros.
        input_shape: (C, H, W) of the maps that it reads.
    """

    is_one_step: ClassVar[bool] = True
    values: Tensor
    places: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        weight = conv.weight.detach().flatten(1)
        alive = weight != 0
        alive[:, 0] |= ~alive.any(1)  # a kernel has no empty filters
        self.register_buffer("values", weight[alive])
        self.register_buffer("places", alive.flatten().nonzero().flatten())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach())
        self.weight_shape, self.input_shape = conv.weight.shape, input_shape
        self.stride, self.padding = pair(conv.stride), padding_of(conv)
        self.dilation, self.groups = pair(conv.dilation), conv.groups
        self._shape = replace(shape_of(conv, input_shape), scattered=True)
        self._written_shape = (conv.out_channels, *self._shape.written)
        self._calls: list[_Call] | None = None

    @property
    def weight(self) -> Tensor:
        """All weights, [filters, C / G, kernel height, kernel width], zeros included."""
        flat = self.values.new_zeros(math.prod(self.weight_shape))
        return flat.index_put((self.places,), self.values).view(self.weight_shape)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, C, H, W] → [N, filters, H', W']."""
        is_served = is_unwatched() and is_plain(maps) and maps.shape[1:] == self.input_shape
        if is_served and self._are_weights_plain():
            calls = self._calls or self._found()
            if calls:
                return self._computed(maps.contiguous(), calls)
        return F.conv2d(
            maps, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def _are_weights_plain(self) -> bool:
        values, places, bias = map(self._buffers.get, ("values", "places", "bias"))
        return (
            values is not None
            and places is not None
            and is_row(values, places.shape)
            and (bias is not None) == self._shape.has_bias
            and (bias is None or is_row(bias, self.weight_shape[:1]))
        )

    def _load_from_state_dict(self, *state: Any, **options: Any) -> None:
        """Other weights may stand at other places."""
        super()._load_from_state_dict(*state, **options)
        self._calls = None

    def __getstate__(self) -> dict[str, Any]:
        """All but the kernels, which are found again."""
        return {**self.__dict__, "_calls": None}

    def _computed(self, maps: Tensor, calls: list[_Call]) -> Tensor:
        outputs = maps.new_empty(len(maps), *self._written_shape)
        bias = 0 if self.bias is None else self.bias.data_ptr()
        values = self.values.data_ptr()
        for call in calls:
            call(maps.data_ptr(), outputs.data_ptr(), values, bias, len(maps))
        return outputs

    def _found(self) -> list[_Call]:
        """The kernels of the groups; none where this machine has none."""
        machine = this_machine()
        if machine is None:
            return []
        columns = self._shape.columns
        filters = torch.div(self.places, columns, rounding_mode="floor")
        counts = torch.bincount(filters, minlength=self.weight_shape[0]).tolist()
        edges = [0, *accumulate(counts)]
        own = self._shape.filters
        self._calls = [
            _Call(
                self._shape,
                machine,
                (self.places[edges[group * own] : edges[(group + 1) * own]] % columns).tolist(),
                edges[group * own : (group + 1) * own + 1],
                group,
            )
            for group in range(self.groups)
        ]
        return self._calls


class _Call:
    """What one group's kernel is called with.

    Args:
        shape: of the group.
        machine: this one.
        places: of its weights, each in its filter.
        edges: where each of its filters begins among all weights, and where the last one ends.
        group: its number.
    """

    def __init__(
        self, shape: Shape, machine: Machine, places: list[int], edges: list[int], group: int
    ) -> None:
        height, width = shape.kernel
        columns = [(one // (height * width), one // width % height, one % width) for one in places]
        channels = channels_of(columns)
        mean = max(1, len(places) // shape.filters)
        own = replace(shape, channels=len(channels), columns=mean)
        self._kernel = kernel_for(own, machine)
        layout = self._kernel.layout
        begins = [edge - edges[0] for edge in edges]
        self._channels = indices(channels + begins)
        self._offsets = indices(layout.offsets(columns))
        self._read = NUMBER_BYTES * group * shape.channels * math.prod(shape.maps)
        self._written = NUMBER_BYTES * group * shape.filters * math.prod(shape.written)
        self._values = NUMBER_BYTES * edges[0]
        self._bias = NUMBER_BYTES * group * shape.filters

    def __call__(self, read: int, written: int, values: int, bias: int, count: int) -> None:
        """Images at one address to outputs at another."""
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

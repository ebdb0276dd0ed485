"""Symbolic spatial sizes: what each step does to height and width, at every image size.

A network is observed at one image size. Whether a constant channel is uniform, or two feature maps
are equally large, at *every* size is derived from its steps instead: at one pixel every channel is
uniform and all sizes match. One to three spatial dimensions are supported. Only tensors [N, C, …]
are followed; other layouts have an unknown extent.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import nn

from robench.graph.axes import MAPS, is_move
from robench.graph.calls import argument, padding_amounts
from robench.graph.operations import Transposed, Weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import fx

    from robench.graph.trace import Traced

__all__ = ["Extent", "border_value", "extents", "pads_with_zeros"]

Extent: TypeAlias = tuple[Any, ...]
"""Symbolic size of feature maps. Equal extents mean equal sizes at every image size; unequal
extents may still have equal sizes."""

_Sides: TypeAlias = tuple[Any, ...]
"""One value per spatial dimension: (vertical, horizontal) for [N, C, H, W]."""

_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
_AveragePooling = nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d
_MaxPooling = nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d
_AdaptivePooling = (
    nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d
    | nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d | nn.AdaptiveMaxPool3d
)  # fmt: skip
_AVERAGES: set[object] = {F.avg_pool1d, F.avg_pool2d, F.avg_pool3d}
_MAXIMA: set[object] = {
    F.max_pool1d, F.max_pool2d, F.max_pool3d, torch.max_pool1d, torch.max_pool2d, torch.max_pool3d,
}  # fmt: skip
_ADAPTIVE: set[object] = {
    F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d,
    F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d,
}  # fmt: skip


@dataclass(frozen=True)
class _Window:
    """A sliding window of a convolution or pooling.

    Attributes:
        kernel, stride, padding, dilation: one per dimension; numbers, or steps that compute one.
        ceil_mode: whether the last window may extend beyond the edge.
    """

    kernel: _Sides
    stride: _Sides
    padding: _Sides
    dilation: _Sides
    ceil_mode: bool = False

    @property
    def is_padded(self) -> bool:
        """Whether the input is padded."""
        return any(side != 0 for side in self.padding)

    @property
    def is_dilated(self) -> bool:
        """Whether the window is dilated."""
        return any(side != 1 for side in self.dilation)

    @property
    def is_known(self) -> bool:
        """Whether all its sizes are numbers, not computed by the network."""
        numbers = (*self.kernel, *self.stride, *self.padding, *self.dilation)
        return all(isinstance(number, int) for number in numbers)

    @property
    def reach(self) -> list[int]:
        """2 · padding − dilation · (kernel − 1) − 1 for each dimension."""
        sides = zip(self.padding, self.dilation, self.kernel, strict=True)
        return [2 * padding - dilation * (kernel - 1) - 1 for padding, dilation, kernel in sides]

    def slid(self, extent: Extent, unknown: Extent) -> Extent:
        """The extent of the output: floor((size + reach) / stride) + 1 per dimension."""
        if not self.is_known:
            return unknown
        ceil_mode = self.ceil_mode and any(side > 1 for side in self.stride)
        # With ceil_mode the padding matters too: no window starts in the padding after the map.
        return _moved(extent, self.reach, self.stride, *((self.padding,) if ceil_mode else ()))


def border_value(traced: Traced, node: fx.Node) -> float | None:
    """The padding value of a step; `None` if pixels outside its input do not count.

    A uniform channel stays uniform if the value is `None` or equal to its own. Transposed
    convolutions have the value 0, since their windows overlap unevenly.

    Args:
        traced: the network.
        node: a channel-wise step, a layer, or a padding.
    """
    part = traced.parts.get(str(node.target)) if node.op == "call_module" else None
    if isinstance(part, Weighted):
        return 0.0 if isinstance(part, Transposed) or pads_with_zeros(part) else None
    if isinstance(part, nn.ConstantPad1d | nn.ConstantPad2d | nn.ConstantPad3d):
        return float(part.value) if max(part.padding) > 0 else None
    if node.target is F.pad:
        return _padded_with(traced, node)
    window = _window(node, part, _side_count(traced, node))
    if window is None:
        return None
    if _is_average(node, part):
        return _averaged_with(window, *_divisor(node, part))
    if window.is_padded and window.is_dilated:
        return float("-inf")  # a dilated max-pooling window may lie in the padding entirely
    return None


def pads_with_zeros(layer: nn.Module) -> bool:
    """Whether a convolution pads with zeros, so that a constant input gets a border."""
    if not isinstance(layer, _Convolution):
        return False
    if layer.padding_mode != "zeros" or layer.padding == "valid":
        return False
    if layer.padding == "same":
        return any(size > 1 for size in layer.kernel_size)
    return any(size != 0 for size in layer.padding)


def extents(traced: Traced) -> dict[fx.Node, Extent]:
    """The extent of each step's output."""
    found: dict[fx.Node, Extent] = {}
    for node in traced.nodes:
        if traced.kinds[node] not in ("form", "output"):
            found[node] = _of_step(traced, node, [found[read] for read in traced.reads(node)])
    return found


def _side_count(traced: Traced, node: fx.Node) -> int:
    """Number of spatial dimensions of a step's input."""
    value = traced.values[traced.reads(node)[0]]
    return value.ndim - 2 if isinstance(value, torch.Tensor) else 0


def _of_step(traced: Traced, node: fx.Node, read: list[Extent]) -> Extent:
    kind, value, unknown = traced.kinds[node], traced.values[node], ("of", node)
    if isinstance(value, torch.Tensor) and value.ndim <= 2:
        return ("rows",)
    axes = {traced.axes[one] for one in (node, *traced.reads(node))}
    if kind in ("input", "other") or axes != {MAPS}:
        return unknown
    if kind == "constant":
        return ("fixed", *value.shape[2:])
    if kind in ("sum", "product"):
        return _spread(read, unknown)
    if kind in ("norm", "split", "piece", "concatenate"):
        return read[0]
    return _resized(traced, node, read[0], unknown)


def _is_one_pixel(extent: Extent) -> bool:
    return extent[0] == "fixed" and all(side == 1 for side in extent[1:])


def _spread(read: Sequence[Extent], unknown: Extent) -> Extent:
    """Extent after broadcasting: operands are equally large, or a single pixel."""
    large = {extent for extent in read if not _is_one_pixel(extent)}
    if len(large) > 1:
        return unknown
    return large.pop() if large else read[0]


def _resized(traced: Traced, node: fx.Node, extent: Extent, unknown: Extent) -> Extent:
    part = traced.parts.get(str(node.target)) if node.op == "call_module" else None
    sides = _side_count(traced, node)
    if isinstance(part, Transposed):
        return _grown(part, extent)
    if isinstance(part, _Convolution) and part.padding == "same":
        return extent
    window = _window(node, part, sides)
    if window is not None:
        return window.slid(extent, unknown)
    if isinstance(part, _AdaptivePooling):
        return _fixed(part.output_size, sides, unknown)
    if node.target in _ADAPTIVE:
        return _fixed(argument(node, 1, "output_size", None), sides, unknown)
    if node.target is operator.getitem:
        return _cut(cast("tuple[object, ...]", node.args[1])[2:], sides, extent, unknown)
    if is_move(node, part):
        is_mean = node.target in (torch.mean, "mean")
        return (
            ("fixed", *(1 for _ in range(sides))) if is_mean and _is_whole(node, sides) else unknown
        )
    # F.pad or a padding module; other modules have no `padding` here.
    amounts = padding_amounts(node) if node.target is F.pad else getattr(part, "padding", ())
    padded: list[int] = [*cast("Sequence[int]", amounts), *(0 for _ in range(2 * sides))]
    reach = [padded[2 * place] + padded[2 * place + 1] - 1 for place in reversed(range(sides))]
    return _moved(extent, reach, [1] * sides)


def _moved(extent: Extent, reach: Sequence[int], stride: Sequence[int], *more: object) -> Extent:
    if all(one == -1 for one in reach) and all(one == 1 for one in stride):
        return extent
    return ("moved", extent, *reach, *stride, *more)


def _grown(layer: Transposed, extent: Extent) -> Extent:
    """Transposed convolution: (size - 1) * stride + more per dimension."""
    sides = zip(layer.kernel_size, layer.dilation, strict=True)
    windows = [dilation * (kernel - 1) + 1 for kernel, dilation in sides]
    edges = zip(windows, _sided(layer.padding, len(windows)), layer.output_padding, strict=True)
    more = [window - 2 * padding + extra for window, padding, extra in edges]
    if all(one == 1 for one in (*more, *layer.stride)):
        return extent
    return ("grown", extent, *layer.stride, *more)


def _is_whole(node: fx.Node, sides: int) -> bool:
    """Whether a mean is taken over all spatial dimensions."""
    axes = argument(node, 1, "dim", None)
    if not isinstance(axes, list | tuple):
        axes = (axes,)
    places = {axis % (sides + 2) for axis in axes if isinstance(axis, int)}
    return places == set(range(2, sides + 2))


def _fixed(size: object, sides: int, unknown: Extent) -> Extent:
    given = _sided(size, sides)
    return ("fixed", *given) if all(isinstance(side, int) for side in given) else unknown


def _cut(places: Sequence[object], sides: int, extent: Extent, unknown: Extent) -> Extent:
    """Extent after indexing with slices ``start::step``."""
    places = (*places, *(slice(None) for _ in range(sides)))[:sides]
    reach, stride = [], []
    for place in places:
        if not isinstance(place, slice):
            return unknown
        start, step = place.start or 0, place.step or 1
        if place.stop is not None or not isinstance(step, int):
            return unknown
        if not isinstance(start, int) or start < 0:
            return unknown
        reach.append(-start - 1)
        stride.append(step)
    return _moved(extent, reach, stride)


def _window(node: fx.Node, part: nn.Module | None, sides: int) -> _Window | None:
    """The window of a convolution or pooling, or ``None``."""
    if isinstance(part, _Convolution):
        padding = 0 if part.padding == "valid" else part.padding
        return _Window(
            kernel=_sided(part.kernel_size, sides),
            stride=_sided(part.stride, sides),
            padding=_sided(padding, sides),
            dilation=_sided(part.dilation, sides),
        )
    if isinstance(part, _MaxPooling | _AveragePooling):
        return _Window(
            kernel=_sided(part.kernel_size, sides),
            stride=_sided(part.stride, sides),
            padding=_sided(part.padding, sides),
            dilation=_sided(getattr(part, "dilation", 1), sides),
            ceil_mode=part.ceil_mode,
        )
    if node.target not in _AVERAGES | _MAXIMA:
        return None
    kernel, is_max = argument(node, 1, "kernel_size", 1), node.target in _MAXIMA
    return _Window(
        kernel=_sided(kernel, sides),
        stride=_sided(argument(node, 2, "stride", None) or kernel, sides),
        padding=_sided(argument(node, 3, "padding", 0), sides),
        dilation=_sided(argument(node, 4, "dilation", 1) if is_max else 1, sides),
        ceil_mode=bool(argument(node, 5 if is_max else 4, "ceil_mode", False)),
    )


def _is_average(node: fx.Node, part: nn.Module | None) -> bool:
    return isinstance(part, _AveragePooling) or node.target in _AVERAGES


def _divisor(node: fx.Node, part: nn.Module | None) -> tuple[bool, bool]:
    """Whether an average pooling counts its padding, and whether its divisor is given."""
    if isinstance(part, _AveragePooling):
        return part.count_include_pad, getattr(part, "divisor_override", None) is not None
    counts = bool(argument(node, 5, "count_include_pad", True))
    return counts, argument(node, 6, "divisor_override", None) is not None


def _averaged_with(window: _Window, counts_padding: bool, is_divisor_given: bool) -> float | None:
    """Padding value of an average pooling: 0 if padded zeros count in the divisor."""
    if is_divisor_given:
        return 0.0 if window.is_padded or window.ceil_mode else None
    return 0.0 if window.is_padded and counts_padding else None


def _padded_with(traced: Traced, node: fx.Node) -> float | None:
    """Padding value of an ``F.pad`` of spatial dimensions; `None` if it pads channels only."""
    behind = traced.values[node].ndim - 1 - traced.axes[node]
    amounts = padding_amounts(node)
    around = (*amounts[: 2 * behind], *amounts[2 * behind + 2 :], 0)
    if argument(node, 2, "mode", "constant") != "constant" or max(around) <= 0:
        return None
    value = argument(node, 3, "value", None)
    return float(cast("float", value)) if value is not None else 0.0


def _sided(size: Any, sides: int) -> _Sides:
    """Expand one number to one per spatial dimension, as torch does."""
    given = tuple(size) if isinstance(size, list | tuple) else (size,)
    return given if len(given) == sides else (given[0],) * sides

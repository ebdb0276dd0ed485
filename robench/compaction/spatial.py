"""What each step does along height and width, or along one dimension or three, at every size.

A network is observed on images of one size; whether a constant map is even, or two maps are equally
large, at *every* size must be followed through its steps instead. On maps of one pixel everything
is even, and everything fits everything. Only maps [N, C, …] are followed: the extent of what has
its channels elsewhere is unknown.
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
"""How the sides of maps came about. Two that are equal are equally large at every image size; two
that are not may be as well."""

_Sides: TypeAlias = tuple[Any, ...]
"""One value a side of the maps: of [N, C, H, W] (vertical, horizontal)."""

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
    """A kernel that slides over maps.

    Attributes:
        kernel, stride, padding, dilation: one a side; numbers, or steps that give one.
        ceil_mode: whether a last window may reach over the edge.
    """

    kernel: _Sides
    stride: _Sides
    padding: _Sides
    dilation: _Sides
    ceil_mode: bool = False

    @property
    def is_padded(self) -> bool:
        """Whether the window may lie over the edge of the map on both sides."""
        return any(side != 0 for side in self.padding)

    @property
    def is_dilated(self) -> bool:
        """Whether the window leaves out pixels between those that it reads."""
        return any(side != 1 for side in self.dilation)

    @property
    def is_known(self) -> bool:
        """Whether nothing about it is computed while the network runs."""
        numbers = (*self.kernel, *self.stride, *self.padding, *self.dilation)
        return all(isinstance(number, int) for number in numbers)

    @property
    def reach(self) -> list[int]:
        """By how much each side grows before the stride divides it, less one."""
        sides = zip(self.padding, self.dilation, self.kernel, strict=True)
        return [2 * padding - dilation * (kernel - 1) - 1 for padding, dilation, kernel in sides]

    def slid(self, extent: Extent, unknown: Extent) -> Extent:
        """The extent of what it gives: floor((size + reach) / stride) + 1 a dimension."""
        if not self.is_known:
            return unknown
        ceil_mode = self.ceil_mode and any(side > 1 for side in self.stride)
        # With ceil_mode the padding decides too: no window starts in the padding behind the map.
        return _moved(extent, self.reach, self.stride, *((self.padding,) if ceil_mode else ()))


def border_value(traced: Traced, node: fx.Node) -> float | None:
    """What a step takes for the pixels outside its maps; `None` where it leaves them out.

    A channel that has one value everywhere keeps one value everywhere where that is `None`, or its
    own value. So it is with transposed convolutions, whose windows overlap unevenly.

    Args:
        traced: the network.
        node: a step that treats each channel by itself, a layer, or one that pads.
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
        return float("-inf")  # all that a dilated window of max pooling reads may lie outside
    return None


def pads_with_zeros(layer: nn.Module) -> bool:
    """Whether the border of a constant map looks different to the kernel than its middle."""
    if not isinstance(layer, _Convolution):
        return False
    if layer.padding_mode != "zeros" or layer.padding == "valid":
        return False
    if layer.padding == "same":
        return any(size > 1 for size in layer.kernel_size)
    return any(size != 0 for size in layer.padding)


def extents(traced: Traced) -> dict[fx.Node, Extent]:
    """For each step that gives maps or rows, how the sides of the maps came about."""
    found: dict[fx.Node, Extent] = {}
    for node in traced.nodes:
        if traced.kinds[node] not in ("form", "output"):
            found[node] = _of_step(traced, node, [found[read] for read in traced.reads(node)])
    return found


def _side_count(traced: Traced, node: fx.Node) -> int:
    """How many sides the maps have that a step reads."""
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
    """Of what is equally large, or of which one is a single pixel that is added to all."""
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
    # Of F.pad, or of a module that only pads; nothing else that is left has such amounts.
    amounts = padding_amounts(node) if node.target is F.pad else getattr(part, "padding", ())
    padded: list[int] = [*cast("Sequence[int]", amounts), *(0 for _ in range(2 * sides))]
    reach = [padded[2 * place] + padded[2 * place + 1] - 1 for place in reversed(range(sides))]
    return _moved(extent, reach, [1] * sides)


def _moved(extent: Extent, reach: Sequence[int], stride: Sequence[int], *more: object) -> Extent:
    if all(one == -1 for one in reach) and all(one == 1 for one in stride):
        return extent
    return ("moved", extent, *reach, *stride, *more)


def _grown(layer: Transposed, extent: Extent) -> Extent:
    """(size - 1) * stride + more a dimension."""
    sides = zip(layer.kernel_size, layer.dilation, strict=True)
    windows = [dilation * (kernel - 1) + 1 for kernel, dilation in sides]
    edges = zip(windows, _sided(layer.padding, len(windows)), layer.output_padding, strict=True)
    more = [window - 2 * padding + extra for window, padding, extra in edges]
    if all(one == 1 for one in (*more, *layer.stride)):
        return extent
    return ("grown", extent, *layer.stride, *more)


def _is_whole(node: fx.Node, sides: int) -> bool:
    """Whether a mean is taken over all sides of the maps."""
    axes = argument(node, 1, "dim", None)
    if not isinstance(axes, list | tuple):
        axes = (axes,)
    places = {axis % (sides + 2) for axis in axes if isinstance(axis, int)}
    return places == set(range(2, sides + 2))


def _fixed(size: object, sides: int, unknown: Extent) -> Extent:
    given = _sided(size, sides)
    return ("fixed", *given) if all(isinstance(side, int) for side in given) else unknown


def _cut(places: Sequence[object], sides: int, extent: Extent, unknown: Extent) -> Extent:
    """Of every `step`-th row and column, from some first one to the end."""
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
    """The kernel of a convolution or pooling."""
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
    """Zeros outside are counted, or at least divided by."""
    if is_divisor_given:
        return 0.0 if window.is_padded or window.ceil_mode else None
    return 0.0 if window.is_padded and counts_padding else None


def _padded_with(traced: Traced, node: fx.Node) -> float | None:
    """The value of the padding, if any lies outside the maps and not beside them."""
    behind = traced.values[node].ndim - 1 - traced.axes[node]
    amounts = padding_amounts(node)
    around = (*amounts[: 2 * behind], *amounts[2 * behind + 2 :], 0)
    if argument(node, 2, "mode", "constant") != "constant" or max(around) <= 0:
        return None
    value = argument(node, 3, "value", None)
    return float(cast("float", value)) if value is not None else 0.0


def _sided(size: Any, sides: int) -> _Sides:
    """One value a side of what torch takes as one number or as several."""
    given = tuple(size) if isinstance(size, list | tuple) else (size,)
    return given if len(given) == sides else (given[0],) * sides

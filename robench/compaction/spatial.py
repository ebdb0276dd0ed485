"""What each step does along height and width, at every image size.

A network is observed on images of one size; whether a constant map is even, or two maps are equally
large, at *every* size must be followed through its steps instead. On maps of one pixel everything
is even, and everything fits everything.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import nn

from robench.graph.operations import argument, padding_amounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import fx

    from robench.graph.trace import Traced

__all__ = ["Extent", "border_value", "extents", "pads_with_zeros"]

Extent: TypeAlias = tuple[Any, ...]
"""How height and width came about. Two that are equal are equally large at every image size; two
that are not may be as well."""

_ONE_PIXEL: Extent = ("fixed", 1, 1)
_MAPS = 4
"""Dimensions of a batch of maps."""


@dataclass(frozen=True)
class _Window:
    """A kernel that slides over maps.

    Attributes:
        kernel, stride, padding, dilation: (vertical, horizontal); numbers, or steps that give one.
        ceil_mode: whether a last window may reach over the edge.
    """

    kernel: tuple[Any, Any]
    stride: tuple[Any, Any]
    padding: tuple[Any, Any]
    dilation: tuple[Any, Any]
    ceil_mode: bool = False

    @property
    def is_padded(self) -> bool:
        """Whether the window may lie over the edge of the map on both sides."""
        return any(side != 0 for side in self.padding)

    def slid(self, extent: Extent, unknown: Extent) -> Extent:
        """The extent of what it gives: floor((size + reach) / stride) + 1 a dimension."""
        numbers = (*self.kernel, *self.stride, *self.padding, *self.dilation)
        if not all(isinstance(number, int) for number in numbers):
            return unknown
        sides = range(2)
        reach = [
            2 * self.padding[side] - self.dilation[side] * (self.kernel[side] - 1) - 1
            for side in sides
        ]
        ceil_mode = self.ceil_mode and any(self.stride[side] > 1 for side in sides)
        # With ceil_mode the padding decides too: no window starts in the padding behind the map.
        return _moved(extent, reach, self.stride, *((self.padding,) if ceil_mode else ()))


def border_value(traced: Traced, node: fx.Node) -> float | None:
    """What a step takes for the pixels outside its maps; `None` where it leaves them out.

    A channel that has one value everywhere keeps one value everywhere where that is `None`, or its
    own value.

    Args:
        traced: the network.
        node: a step that treats each channel by itself, a layer, or one that pads.
    """
    part = traced.parts.get(str(node.target)) if node.op == "call_module" else None
    if isinstance(part, nn.Conv2d | nn.Linear):
        return 0.0 if pads_with_zeros(part) else None
    if isinstance(part, nn.ConstantPad2d):
        return float(part.value) if max(part.padding) > 0 else None
    if node.target is F.pad:
        return _padded_with(node)
    average = _average(node, part)
    if average is not None:
        return _averaged_with(*average)
    window = _window(node, part)
    if window is not None and window.is_padded and window.dilation != (1, 1):
        return float("-inf")  # all that a dilated window of max pooling reads may lie outside
    return None


def pads_with_zeros(layer: nn.Conv2d | nn.Linear) -> bool:
    """Whether the border of a constant map looks different to the kernel than its middle."""
    if not isinstance(layer, nn.Conv2d):
        return False
    if layer.padding_mode != "zeros" or layer.padding == "valid":
        return False
    if layer.padding == "same":
        return any(size > 1 for size in layer.kernel_size)
    return any(size != 0 for size in layer.padding)


def extents(traced: Traced) -> dict[fx.Node, Extent]:
    """For each step that gives maps or rows, how its height and width came about."""
    found: dict[fx.Node, Extent] = {}
    for node in traced.nodes:
        if traced.kinds[node] not in ("form", "output"):
            found[node] = _of_step(traced, node, [found[read] for read in traced.reads(node)])
    return found


def _of_step(traced: Traced, node: fx.Node, read: list[Extent]) -> Extent:
    kind, value, unknown = traced.kinds[node], traced.values[node], ("of", node)
    if isinstance(value, torch.Tensor) and value.ndim <= 2:
        return ("rows",)
    if kind in ("input", "other"):
        return unknown
    if kind == "constant":
        return ("fixed", *value.shape[2:])
    if kind in ("sum", "product"):
        return _spread(read, unknown)
    if kind in ("norm", "split", "piece", "concatenate"):
        return read[0]
    part = traced.parts.get(str(node.target)) if node.op == "call_module" else None
    return _resized(node, part, read[0], unknown)


def _spread(read: Sequence[Extent], unknown: Extent) -> Extent:
    """Of what is equally large, or of which one is a single pixel that is added to all."""
    large = {extent for extent in read if extent != _ONE_PIXEL}
    if len(large) > 1:
        return unknown
    return large.pop() if large else _ONE_PIXEL


def _resized(node: fx.Node, part: nn.Module | None, extent: Extent, unknown: Extent) -> Extent:
    if isinstance(part, nn.Conv2d) and part.padding == "same":
        return extent
    window = _window(node, part)
    if window is not None:
        return window.slid(extent, unknown)
    if isinstance(part, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return _fixed(part.output_size, unknown)
    if node.target in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
        return _fixed(argument(node, 1, "output_size", None), unknown)
    if node.target in (torch.mean, "mean"):
        return _ONE_PIXEL
    if node.target is operator.getitem:
        return _cut(cast("tuple[object, ...]", node.args[1])[2:], extent, unknown)
    # Of F.pad, or of a module that only pads; nothing else that is left has such amounts.
    amounts = padding_amounts(node) if node.target is F.pad else getattr(part, "padding", ())
    left, right, above, below = (*amounts, 0, 0, 0, 0)[:4]
    return _moved(extent, (above + below - 1, left + right - 1), (1, 1))


def _moved(extent: Extent, reach: Sequence[int], stride: Sequence[int], *more: object) -> Extent:
    if tuple(reach) == (-1, -1) and tuple(stride) == (1, 1):
        return extent
    return ("moved", extent, *reach, *stride, *more)


def _fixed(size: object, unknown: Extent) -> Extent:
    sides = _pair(size)
    return ("fixed", *sides) if all(isinstance(side, int) for side in sides) else unknown


def _cut(places: Sequence[object], extent: Extent, unknown: Extent) -> Extent:
    """Of every `step`-th row and column, from some first one to the end."""
    places = (*places, slice(None), slice(None))[:2]
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


def _window(node: fx.Node, part: nn.Module | None) -> _Window | None:
    """The kernel of a convolution or pooling."""
    if isinstance(part, nn.Conv2d):
        padding = 0 if part.padding == "valid" else part.padding
        return _Window(
            _pair(part.kernel_size), _pair(part.stride), _pair(padding), _pair(part.dilation)
        )
    if isinstance(part, nn.MaxPool2d | nn.AvgPool2d):
        return _Window(
            kernel=_pair(part.kernel_size),
            stride=_pair(part.stride),
            padding=_pair(part.padding),
            dilation=_pair(getattr(part, "dilation", 1)),
            ceil_mode=part.ceil_mode,
        )
    if node.target not in (F.avg_pool2d, F.max_pool2d, torch.max_pool2d):
        return None
    kernel, is_max = argument(node, 1, "kernel_size", 1), node.target is not F.avg_pool2d
    return _Window(
        kernel=_pair(kernel),
        stride=_pair(argument(node, 2, "stride", None) or kernel),
        padding=_pair(argument(node, 3, "padding", 0)),
        dilation=_pair(argument(node, 4, "dilation", 1) if is_max else 1),
        ceil_mode=bool(argument(node, 5 if is_max else 4, "ceil_mode", False)),
    )


def _average(node: fx.Node, part: nn.Module | None) -> tuple[_Window, bool, bool] | None:
    """The window of an average pooling; whether it counts its padding; if its divisor is given."""
    window = _window(node, part)
    if window is None:
        return None
    if isinstance(part, nn.AvgPool2d):
        return window, part.count_include_pad, part.divisor_override is not None
    if node.target is not F.avg_pool2d:
        return None
    counts = bool(argument(node, 5, "count_include_pad", True))
    return window, counts, argument(node, 6, "divisor_override", None) is not None


def _averaged_with(window: _Window, counts_padding: bool, is_divisor_given: bool) -> float | None:
    """Zeros outside are counted, or at least divided by."""
    if is_divisor_given:
        return 0.0 if window.is_padded or window.ceil_mode else None
    return 0.0 if window.is_padded and counts_padding else None


def _padded_with(node: fx.Node) -> float | None:
    if argument(node, 2, "mode", "constant") != "constant" or max(padding_amounts(node)[:4]) <= 0:
        return None
    value = argument(node, 3, "value", None)
    return float(cast("float", value)) if value is not None else 0.0


def _pair(size: Any) -> tuple[Any, Any]:
    """(vertical, horizontal) of what torch takes as one number or two."""
    sides = tuple(size) if isinstance(size, list | tuple) else (size,)
    return (sides[0], sides[-1])

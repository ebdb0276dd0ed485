"""Faster forms of narrow convolutions and poolings in the channels-last layout (NHWC)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.deploy.autotune import fastest, timed
from robench.deploy.forms.row_pooling import RowMaxPool2d
from robench.deploy.forms.widened import WidenedConv2d
from robench.graph.budget import CHOICE_S, Budget
from robench.graph.observe import observe

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["fastest_forms", "in_form"]

_AS_IT_IS = "as it is"
_NARROW = 32
"""Number of filters from which vectors are full enough; wider convolutions are not tried."""
_PIXELS = (2, 3, 4)
_SLACK_S = 5e-6
"""Seconds by which a form may be slower with one input (the cost of one or two more steps), for
gains with a batch."""


def fastest_forms(
    model: nn.Module, example: Tensor, budget: Budget | None = None
) -> dict[str, str]:
    """The convolutions and poolings that another form computes faster on this machine.

    Those with the largest output come first. Equal ones are timed once.

    Args:
        model: in evaluation mode, in the precision and on the device in which it will run; it
            is not changed.
        example: a batch of inputs; one input and the whole batch are timed.
        budget: time limit; a minute by default.

    Returns:
        Qualified name → name of the other form, see :func:`in_form`.
    """
    parts = {name: part for name, part in model.named_modules() if _may_be_replaced(part)}
    seen = observe(model, parts, example[:1])
    names = sorted(seen, key=lambda name: seen[name][1].numel(), reverse=True)
    spending = budget or Budget(CHOICE_S)
    timed_before: dict[object, str] = {}
    found: dict[str, str] = {}
    for name in spending.spend(names, "timing narrow layers"):
        read, written = seen[name]
        kind = (str(parts[name]), read.shape, read.stride())
        if kind not in timed_before:
            made = {form: in_form(parts[name], form) for form in _forms(parts[name], written)}
            timed_before[kind] = fastest(
                timed({_AS_IT_IS: parts[name], **made}, _like(read, len(example))), _SLACK_S
            )
        if timed_before[kind] != _AS_IT_IS:
            found[name] = timed_before[kind]
    return found


def in_form(part: nn.Module, form: str) -> nn.Module:
    """A convolution or a pooling in one of the forms.

    Args:
        part: the layer; it is not changed.
        form: ``rows`` of a pooling; ``2 pixels``, ``3 pixels`` or ``4 pixels`` of a convolution.

    Raises:
        ValueError: there is no such form, or it does not fit.
    """
    if not _may_be_replaced(part):
        raise ValueError(f"{type(part).__name__} has no other form")
    if form == "rows" and isinstance(part, nn.MaxPool2d):
        return RowMaxPool2d(part).eval()
    sizes = {f"{pixels} pixels": pixels for pixels in _PIXELS}
    if form not in sizes or not isinstance(part, nn.Conv2d):
        raise ValueError(f"{type(part).__name__} has no form {form!r}")
    return WidenedConv2d(part, sizes[form]).eval()


def _like(read: Tensor, count: int) -> Tensor:
    """A random batch of `count` inputs in the same memory layout as `read`."""
    last = torch.channels_last
    is_last = read.ndim == 4 and read.is_contiguous(memory_format=last)
    maps = torch.rand((count, *read.shape[1:]), dtype=read.dtype, device=read.device)
    return maps.contiguous(memory_format=last) if is_last and not read.is_contiguous() else maps


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


def _forms(part: nn.Module, written: Tensor) -> list[str]:
    if isinstance(part, nn.MaxPool2d):
        return ["rows"]
    return [f"{pixels} pixels" for pixels in _PIXELS if written.shape[3] % pixels == 0]

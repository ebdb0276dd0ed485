"""Which other form computes a narrow convolution or a pooling more quickly, channels last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from robench.compaction.forms.row_pooling import RowMaxPool2d
from robench.compaction.forms.widened import WidenedConv2d
from robench.compaction.observe import observe
from robench.compaction.quickest import quickest, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Form: TypeAlias = "Callable[[Any], nn.Module]"
"""Makes another form of a module that it fits."""

__all__ = ["Form", "quickest_forms"]

_NARROW = 32
"""Filters from which vectors are full enough; such convolutions are not tried."""
_PIXELS = (2, 3, 4)
_SLACK_S = 5e-6
"""What a form may lose with one input: the price of a step or two more, for gains with a batch."""


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

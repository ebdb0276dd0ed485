"""Convolutions over their nonzero columns, after shape-wise sparsity.

A column of a convolution is one position of the kernel in one input channel, over all filters: a
shape fibre (Wen et al. 2016, arXiv 1608.03665), and a column of the im2col matrix. Dense kernels
gain nothing from zero columns. Three forms do: ``cropped`` to a smaller kernel, if its border is
zero; ``gathered``, im2col over the nonzero columns and a matrix product; and ``direct``,
a kernel compiled for them. The last one also helps layers that lost filters or channels: libraries
compute narrow layers hardly faster than wide ones. Which form is fastest depends on the shape, so
each is timed against the dense layer, and a layer is only replaced if the form is faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import nn

from robench.deploy.autotune import fastest, sizes, timed
from robench.deploy.backends import has_kernel
from robench.deploy.forms.cropped import CroppedConv2d
from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.forms.gathered import GatheredConv2d
from robench.graph.budget import CHOICE_S, Budget
from robench.graph.observe import observe

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from torch import Tensor

__all__ = [
    "ColumnChoice",
    "apply_columns",
    "choose_columns",
    "forms_of",
    "has_zero_columns",
    "undo_columns",
    "used_columns",
]

Form = Literal["dense", "cropped", "gathered", "direct"]

_ALONE = "there is no other form of it"
_LEAST_SHARE = 0.1
"""Least share of zero columns from which other forms are tried."""


@dataclass(frozen=True)
class ColumnChoice:
    """The form of a convolution that lost columns, filters or channels.

    Attributes:
        name: qualified name of the layer.
        form: ``dense`` (unchanged), ``cropped``, ``gathered`` or ``direct``.
        columns: input channels times kernel positions.
        columns_kept: columns with a nonzero weight.
        input_shape: (channels, height, width) of the layer's input.
        window: first row, last row, first column, last column of the kernel that are used.
        latency_ms: form → batch size → milliseconds, minimum of several calls. If an equal layer
            was timed instead, its latencies.
        note: reason that the layer was not timed itself, or ``None``.
    """

    name: str
    form: Form
    columns: int
    columns_kept: int
    input_shape: tuple[int, int, int]
    window: tuple[int, int, int, int]
    latency_ms: dict[str, dict[str, float]]
    note: str | None = None


def choose_columns(
    model: nn.Module,
    example: Tensor,
    narrowed: Container[str] = (),
    budget: Budget | None = None,
) -> list[ColumnChoice]:
    """Find the fastest form of every convolution with zero columns, or that became narrower.

    Layers of the same shape and the same columns are timed once. Layers that save most
    multiply-accumulates come first; layers that the budget does not reach stay dense, with a note.

    Args:
        model: in evaluation mode, in the precision and on the device in which it will run; it
            is not changed.
        example: a batch of inputs; one input and the whole batch are timed.
        narrowed: names of the layers that lost filters or channels.
        budget: time limit; a minute by default.

    Returns:
        One choice for each convolution that has another form, in module order.
    """
    found = {
        name: part
        for name, part in model.named_modules()
        if type(part) is nn.Conv2d and (has_zero_columns(part) or name in narrowed)
    }
    seen = observe(model, found, example[:1])
    layers = [_Layer(name, conv, *seen[name]) for name, conv in found.items() if name in seen]
    layers.sort(key=lambda layer: layer.macs_saved, reverse=True)
    spending = budget or Budget(CHOICE_S)
    choices = {layer.name: _untimed(layer) for layer in layers}
    timed_before: dict[object, ColumnChoice] = {}
    for layer in spending.spend(layers, "timing convolutions with zero columns"):
        before = timed_before.get(layer.kind)
        if before is None:
            choices[layer.name] = timed_before[layer.kind] = _choose(layer, len(example))
        else:
            choices[layer.name] = replace(
                before, name=layer.name, note=f"timed as {before.name!r}, which is alike"
            )
    return [choices[name] for name in found if name in choices and choices[name].note != _ALONE]


def forms_of(conv: nn.Conv2d, maps: Tensor) -> dict[str, nn.Module]:
    """All forms of a convolution on this machine: itself as ``dense``, and the others.

    Args:
        conv: a plain convolution.
        maps: its input, [N, C, H, W].
    """
    used, shape = used_columns(conv), (maps.shape[1], maps.shape[2], maps.shape[3])
    forms: dict[str, nn.Module] = {"dense": conv}
    if has_zero_columns(conv):
        window = _window(used)
        if window != (0, conv.kernel_size[0] - 1, 0, conv.kernel_size[1] - 1):
            forms["cropped"] = CroppedConv2d(conv, window)
        forms["gathered"] = GatheredConv2d(conv, used, shape)
    if has_kernel(conv, maps) and bool(used.flatten(1).any(1).all()):
        forms["direct"] = DirectConv2d(conv, shape, _where_some_are_zero(used))
    return {name: form.eval() for name, form in forms.items()}


def apply_columns(
    model: nn.Module, choices: Iterable[ColumnChoice], used: Mapping[str, Tensor] | None = None
) -> None:
    """Replace convolutions by their chosen forms, in place.

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


def undo_columns(model: nn.Module) -> nn.Module:
    """Replace gathered and direct forms by plain convolutions, in place; cropped ones stay cropped.

    Returns:
        The model, or its replacement if it is such a form itself.
    """
    if isinstance(model, DirectConv2d):
        # Fused steps cannot be separated from the convolution any more.
        return undo_columns(model.layer) if model.is_alone else model
    for name, part in list(model.named_children()):
        plain = undo_columns(part)
        if plain is not part:
            setattr(model, name, plain)
    return model.convolution() if isinstance(model, GatheredConv2d) else model


def _formed(choice: ColumnChoice, conv: nn.Conv2d, columns: Tensor) -> nn.Module:
    if choice.form == "direct":
        return DirectConv2d(conv, choice.input_shape, _where_some_are_zero(columns))
    if choice.form == "gathered":
        return GatheredConv2d(conv, columns, choice.input_shape)
    return CroppedConv2d(conv, choice.window) if choice.form == "cropped" else conv


def _where_some_are_zero(columns: Tensor) -> Tensor | None:
    return None if bool(columns.all()) else columns


def has_zero_columns(conv: nn.Conv2d) -> bool:
    """Whether enough columns are zero to try other forms, and each group has a nonzero one."""
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return False
    used = used_columns(conv)
    return bool(used.flatten(1).any(1).all()) and float((~used).float().mean()) >= _LEAST_SHARE


def used_columns(conv: nn.Conv2d) -> Tensor:
    """Bool [G, C / G, kernel height, kernel width], which columns some filter of a group uses."""
    alive = conv.weight.detach() != 0
    return alive.view(conv.groups, -1, *conv.weight.shape[1:]).any(1)


def _window(used: Tensor) -> tuple[int, int, int, int]:
    """The smallest window of the kernel that holds all nonzero weights."""
    kernel = used.flatten(0, 1).any(0)
    rows, columns = kernel.any(1).nonzero(), kernel.any(0).nonzero()
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution that may get another form.

    Attributes:
        name: qualified name.
        conv: the module.
        read: its input, for one input of the network.
        written: its output.
    """

    name: str
    conv: nn.Conv2d
    read: Tensor
    written: Tensor

    @property
    def macs_saved(self) -> int:
        """Multiply-accumulates that skipping zero columns saves, or an estimate if none is zero."""
        used = used_columns(self.conv)
        zero = 1 - int(used.sum()) / used.numel()
        macs = self.conv.weight.numel() * math.prod(self.written.shape[2:])
        return round(macs * (zero or _LEAST_SHARE))

    @property
    def kind(self) -> object:
        """Key that is equal for layers whose forms have the same latency."""
        conv = self.conv
        shape = (*conv.weight.shape, *conv.stride, *conv.dilation, conv.groups, str(conv.padding))
        used = used_columns(conv).flatten().cpu().numpy().tobytes()
        return shape, conv.bias is None, tuple(self.read.shape), used


def _untimed(layer: _Layer) -> ColumnChoice:
    used, read = used_columns(layer.conv), layer.read
    return ColumnChoice(
        name=layer.name,
        form="dense",
        columns=used.numel(),
        columns_kept=int(used.sum()),
        input_shape=(read.shape[1], read.shape[2], read.shape[3]),
        window=_window(used),
        latency_ms={},
        note="not timed: the time for the choice was over",
    )


def _choose(layer: _Layer, count: int) -> ColumnChoice:
    """The fastest form, for one input and for `count` of them."""
    forms = forms_of(layer.conv, layer.read)
    if len(forms) == 1:
        return replace(_untimed(layer), note=_ALONE)
    maps = torch.rand(
        (count, *layer.read.shape[1:]), dtype=layer.read.dtype, device=layer.read.device
    )
    seconds = timed(forms, maps)
    return replace(
        _untimed(layer),
        form=cast("Form", fastest(seconds)),
        latency_ms={
            form: {str(size): 1e3 * taken for size, taken in zip(sizes(maps), times, strict=True)}
            for form, times in seconds.items()
        },
        note=None,
    )

"""Checks of networks, examples, devices and batch sizes before counting or timing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, get_args

import psutil
import torch
from torch import Tensor, nn

from robench.errors import InputError
from robench.measure.execution_modes import ExecutionMode

if TYPE_CHECKING:
    from typing import Literal

__all__ = [
    "answer",
    "check_device",
    "check_example",
    "check_memory",
    "check_network",
    "check_pairs",
    "check_sizes",
    "check_ways",
    "whole_number",
]

_GIB = 2**30
_LARGEST_NUMBER = 10**9
_FAILURES = (
    RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError, AssertionError,
    NotImplementedError,
)  # fmt: skip
"""Errors that a network may raise for inputs of a wrong shape."""


def check_network(model: nn.Module, name: str = "model") -> None:
    """Refuse what is no network, or is not in evaluation mode.

    Args:
        model: in evaluation mode, all its parts.
        name: of the argument.

    Raises:
        InputError: it is no network, or a part of it is in training mode.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            f"{name} is a {type(model).__name__}", allowed="a torch.nn.Module in evaluation mode"
        )
    training = [part for part, module in model.named_modules() if module.training]
    if training:
        where = (
            f"{training[0]!r} of {type(model).__name__}" if training[0] else type(model).__name__
        )
        raise InputError(f"{where} is in training mode", hint="model.eval()")


def check_example(example: object) -> None:
    """Refuse what is no batch.

    Raises:
        InputError: no tensor, an empty one, or one that is sparse or on the meta device.
    """
    allowed = "a torch.Tensor [N, …] of at least one input, batch first, as the network takes it"
    if not isinstance(example, Tensor):
        hint = "torch.from_numpy(example)" if type(example).__module__ == "numpy" else None
        raise InputError(f"the example is a {type(example).__name__}", allowed=allowed, hint=hint)
    if example.ndim == 0 or example.numel() == 0:
        raise InputError(f"the example is of shape {tuple(example.shape)}", allowed=allowed)
    if example.layout is not torch.strided or example.is_meta:
        found = "on the meta device" if example.is_meta else f"of layout {example.layout}"
        raise InputError(f"the example is {found}", allowed="a dense tensor that holds numbers")


def answer(model: nn.Module, inputs: Tensor) -> Tensor:
    """The output of a network for a copy of a batch.

    Raises:
        InputError: the network does not take the batch, or gives no tensor.
    """
    name = type(model).__name__
    try:
        with torch.no_grad():
            logits = model(inputs.clone())
    except _FAILURES as error:
        raise InputError(
            f"{name} does not take an example of shape {tuple(inputs.shape)}: {error}",
            hint="give a batch as the network was trained on, batch first, on its device",
        ) from error
    if not isinstance(logits, Tensor):
        raise InputError(
            f"{name} returns a {type(logits).__name__}",
            allowed="networks that return one tensor of logits",
            hint="wrap it in a module whose forward() returns the logits alone",
        )
    return logits


def check_device(device: str | torch.device) -> torch.device:
    """Check that a device exists.

    Raises:
        InputError: it is no device, of an unsupported kind, or missing.
    """
    allowed = "cpu, cuda, cuda:N"
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{device!r} is no device", allowed=allowed) from error
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"nothing is timed on {str(place)!r}", allowed=allowed)
    if place.type == "cpu":
        return torch.device("cpu")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (place.index or 0) >= there:
        found = f"cuda:0 to cuda:{there - 1}" if there else None
        hint = None if there else 'device="cpu"'
        raise InputError(f"there is no {str(device)!r} here", allowed=found, hint=hint)
    return place


def whole_number(value: Any, words: str, least: int, most: int = _LARGEST_NUMBER) -> int:
    """A whole number from `least` to `most`.

    Args:
        value: what was given.
        words: of the message, with ``{}`` where the value goes.
        least: the smallest that is allowed.
        most: the largest.

    Raises:
        InputError: it is none.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:
        raise InputError(
            words.format(_shown(value)), allowed=f"a whole number from {least} to {most:,}"
        )
    return int(value)


def check_sizes(batch_sizes: Sequence[int | Literal["saturating"]]) -> list[int | str]:
    """Check batch sizes.

    Raises:
        InputError: they are no sequence, or empty, or one of them is no size.
    """
    allowed = 'a sequence of whole numbers, 1 or more each, or "saturating", such as (1, 64)'
    if isinstance(batch_sizes, str | bytes) or not isinstance(batch_sizes, Sequence):
        raise InputError(f"batch_sizes={_shown(batch_sizes)}", allowed=allowed)
    if not len(batch_sizes):
        raise InputError("there is no batch size to time", allowed=allowed)
    for size in batch_sizes:
        if isinstance(size, str) and size != "saturating":
            raise InputError(f"{_shown(size)} is no batch size", allowed=allowed)
    return [
        size
        if isinstance(size, str)
        else whole_number(size, "a batch of {} inputs cannot be timed", 1)
        for size in batch_sizes
    ]


def check_memory(size: int, input_bytes: int, device: torch.device) -> None:
    """Refuse a batch whose activations exceed the memory of the device.

    Args:
        size: batch size.
        input_bytes: peak activation bytes of one input.
        device: on which it would run.

    Raises:
        InputError: they exceed all memory of the device.
    """
    held = (
        torch.cuda.mem_get_info(device)[1]
        if device.type == "cuda"
        else int(psutil.virtual_memory().total)
    )
    if size * input_bytes > held:
        raise InputError(
            f"a batch of {size} inputs takes {size * input_bytes / _GIB:,.0f} GiB of activations",
            allowed=f"up to {held // max(1, input_bytes)} inputs in the "
            f"{held / _GIB:,.0f} GiB of {str(device)!r}",
        )


def check_ways(ways: Sequence[ExecutionMode]) -> None:
    """Check execution modes.

    Raises:
        InputError: they are no sequence, or a mode is unknown.
    """
    allowed = f"a sequence of {', '.join(map(repr, get_args(ExecutionMode)))}"
    if isinstance(ways, str | bytes) or not isinstance(ways, Sequence):
        raise InputError(f"ways={_shown(ways)}", allowed=allowed)
    for mode in ways:
        if mode not in get_args(ExecutionMode):
            raise InputError(f"there is no execution mode {_shown(mode)}", allowed=allowed)


def check_pairs(pairs: Mapping[str, tuple[nn.Module, nn.Module]], ways: Sequence[str]) -> None:
    """Check pairs of networks in other forms.

    Raises:
        InputError: another structure, a name that is taken, or networks in training mode.
    """
    allowed = "a mapping: name of the form → (the model, its form), both torch.nn.Module"
    if not isinstance(pairs, Mapping):
        raise InputError(f"pairs={_shown(pairs)}", allowed=allowed)
    for name, pair in pairs.items():
        if not isinstance(name, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError(f"the pair {_shown(name)} is {_shown(pair)}", allowed=allowed)
        if name in ways:
            raise InputError(
                f"a pair and an execution mode are both called {name!r}", hint="rename the pair"
            )
        for network in pair:
            check_network(network, f"pairs[{name!r}]")


def _shown(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 80 else f"{words[:77]}…"

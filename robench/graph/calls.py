"""Arguments of the steps of a traced network, passed by position or by name."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import fx

__all__ = [
    "argument",
    "channel_padding",
    "cut_sizes",
    "is_flatten",
    "listed",
    "operands",
    "padding_amounts",
]


def argument(node: fx.Node, place: int, name: str, default: object) -> object:
    """An argument of a function call, passed by position or by name."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def listed(tensors: object) -> list[object]:
    """The elements of a list or tuple; a list of one element for anything else."""
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def operands(node: fx.Node) -> list[fx.Node]:
    """The operands of a concatenation, in order; one may occur several times."""
    tensors = argument(node, 0, "tensors", ())
    return [one for one in listed(tensors) if isinstance(one, fx.Node)]


def cut_sizes(node: fx.Node, channels: int) -> tuple[int, ...] | None:
    """Channels of each piece if a split reads `channels` channels; `None` if it would fail."""
    function = getattr(torch, node.target) if isinstance(node.target, str) else node.target
    named = [value for name, value in node.kwargs.items() if name not in ("dim", "input", "tensor")]
    where = [*node.args[1:2], *named]
    try:
        pieces = cast("Any", function)(torch.empty(1, channels, device="meta"), *where, dim=1)
    except (RuntimeError, TypeError, IndexError, ValueError):
        return None
    return tuple(piece.shape[1] for piece in pieces)


def padding_amounts(node: fx.Node) -> tuple[int, ...]:
    """The amounts of an ``F.pad`` before and after each dimension, last dimension first."""
    amounts = argument(node, 1, "pad", ())
    if not isinstance(amounts, list | tuple):
        raise TypeError(f"{node.name} pads by {amounts!r}")
    return tuple(int(amount) for amount in amounts)


def channel_padding(amounts: tuple[int, ...], place: int) -> tuple[int, int]:
    """The amounts by which an ``F.pad`` pads the channels: before, after.

    Args:
        amounts: result of :func:`padding_amounts`.
        place: number of dimensions after that of the channels.
    """
    before, after = (*amounts, *(0 for _ in range(2 * place + 2)))[2 * place : 2 * place + 2]
    return before, after


def is_flatten(node: fx.Node) -> bool:
    """Whether the step flattens all dimensions but the batch, for any width."""
    arguments = (*node.args[1:], *node.kwargs.values())
    if node.target is torch.flatten or node.target == "flatten":
        return arguments in ((1,), (1, -1))
    if node.target in ("view", "reshape"):
        return _is_batch_and_rest(arguments)
    return False


def _is_batch_and_rest(arguments: tuple[Any, ...]) -> bool:
    """``x.view(x.size(0), -1)``; a width written as a number would be wrong after pruning."""
    return len(arguments) == 2 and isinstance(arguments[0], fx.Node) and arguments[1] == -1

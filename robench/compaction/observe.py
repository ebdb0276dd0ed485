"""What the layers of a network read and write while it runs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from robench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

__all__ = ["observe", "run"]


def run(model: nn.Module, inputs: Tensor) -> Tensor:
    """The logits of a batch; the batch itself stays as it is, whatever the network does in place.

    Raises:
        InputError: the network does not take a batch of this shape, or gives no tensor.
    """
    try:
        logits = model(inputs.clone())
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(
            f"{type(model).__name__} does not take an example of shape {tuple(inputs.shape)}: "
            f"{error}",
            allowed=_allowed(model),
            hint="give a batch as the network was trained on, batch first, on its device",
        ) from error
    if not isinstance(logits, torch.Tensor):
        raise InputError(
            f"{type(model).__name__} returns a {type(logits).__name__}",
            allowed="networks that return one tensor of logits",
        )
    return logits


def observe(
    model: nn.Module, names: Iterable[str], inputs: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """What each named module reads and writes while the network runs on `inputs`.

    Raises:
        InputError: as :func:`run`.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> None:
        def note(_: nn.Module, read: tuple[Tensor, ...], written: Tensor) -> None:
            # Copies: the step after may work in place.
            seen[name] = (read[0].detach().clone(), written.detach().clone())

        hooks.callback(model.get_submodule(name).register_forward_hook(note).remove)

    with ExitStack() as hooks, torch.no_grad():
        for name in names:
            watch(name)
        run(model, inputs)
    return seen


def _allowed(model: nn.Module) -> str | None:
    shape = getattr(model, "input_shape", None)
    return f"(N, {', '.join(map(str, shape))})" if shape is not None else None

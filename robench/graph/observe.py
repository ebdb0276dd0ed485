"""Run a network, and record the inputs and outputs of its layers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from robench.errors import InputError, RobenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

__all__ = ["input_gradient", "observe", "run"]


def run(model: nn.Module, inputs: Tensor) -> Tensor:
    """The logits of a batch; the network gets a copy, since it may work in place.

    Raises:
        InputError: the network does not take a batch of this shape, or gives no tensor.
    """
    try:
        logits = model(inputs.clone())
    except RobenchError:  # raised by a form of robench, or by a hook
        raise
    except Exception as error:  # the user's network may raise anything
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


def input_gradient(model: nn.Module, inputs: Tensor) -> Tensor:
    """Gradient of a random projection of the logits, the same projection on each call.

    It is zero where the logits do not depend on the inputs.

    Raises:
        InputError: as :func:`run`, or the gradient cannot be computed.
    """
    with torch.enable_grad():
        leaf = inputs.clone().requires_grad_()
        logits = run(model, leaf)
        generator = torch.Generator().manual_seed(1)
        direction = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
        projected = (logits * direction.to(logits)).sum()
        if not projected.requires_grad:
            return torch.zeros_like(inputs)
        try:
            (gradient,) = torch.autograd.grad(projected, leaf, allow_unused=True)
        except RuntimeError as error:
            raise InputError(
                f"the gradient of {type(model).__name__} cannot be computed: {error}",
                hint="a tensor that is needed for the gradient was probably overwritten in place",
            ) from error
    return torch.zeros_like(inputs) if gradient is None else gradient


def observe(
    model: nn.Module, names: Iterable[str], inputs: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Input and output of each named module while the network runs on `inputs`.

    Raises:
        InputError: as :func:`run`.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> None:
        def note(_: nn.Module, read: tuple[Tensor, ...], written: Tensor) -> None:
            # Copies, since the next step may work in place.
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

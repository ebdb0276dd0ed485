"""Checks of the network and the example before a compaction."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.errors import CompactionError, InputError
from robench.graph.observe import input_gradient, run

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_example", "check_network", "precision_of"]


def check_network(model: nn.Module) -> None:
    """Refuse networks that cannot be compacted without changing their function.

    Raises:
        InputError: it is no network, is scripted, has no parameters, or is in training mode.
        CompactionError: layers share a weight.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"a {type(model).__name__} is no network", allowed="a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"a {type(model).__name__} is scripted, so that its layers cannot be told apart",
            hint="give the network that was scripted, and script what comes out",
        )
    if not any(True for _ in model.parameters()):
        raise InputError(f"{type(model).__name__} has no parameters, so nothing can be removed")
    training = [
        name or type(model).__name__ for name, part in model.named_modules() if part.training
    ]
    if training:
        raise InputError(
            f"{training[0]!r} is in training mode, in which its outputs depend on the batch",
            where=training[0],
            hint="model.eval()",
        )
    names: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    for shared in names.values():
        if len(shared) > 1:
            raise CompactionError(
                f"{' and '.join(map(repr, shared))} are the same parameter",
                where=shared[0],
                hint="give each layer a weight of its own: copy.deepcopy the layer",
            )


def precision_of(model: nn.Module) -> torch.dtype:
    """The precision of all parameters.

    Raises:
        InputError: they differ, or are neither float32 nor float64.
    """
    kinds = {parameter.dtype for parameter in model.parameters()}
    if len(kinds) != 1 or not kinds <= {torch.float32, torch.float64}:
        raise InputError(
            f"the parameters of {type(model).__name__} are "
            f"{' and '.join(sorted(str(kind).removeprefix('torch.') for kind in kinds))}",
            allowed="all float32, or all float64",
            hint="model.float()",
        )
    return kinds.pop()


def check_example(model: nn.Module, example: Tensor) -> Tensor:
    """Check that the network computes finite logits and a gradient for the example; detach it.

    Raises:
        InputError: it is no batch of numbers or lies on another device, or the logits are not
            finite, or there is no gradient.
    """
    if not isinstance(example, torch.Tensor):
        raise InputError(
            f"the example is a {type(example).__name__}",
            allowed="a torch.Tensor, batch first",
        )
    device = next(model.parameters()).device
    if example.device != device:
        raise InputError(
            f"the example lies on {str(example.device)!r}",
            allowed=f"{str(device)!r}, where the network is",
            hint=f"example.to({str(device)!r})",
        )
    if not example.is_floating_point() or example.ndim < 2 or len(example) == 0:
        raise InputError(
            f"the example is {str(example.dtype).removeprefix('torch.')} of shape "
            f"{tuple(example.shape)}",
            allowed="a floating-point batch of at least one input, batch first",
        )
    if not bool(example.isfinite().all()):
        raise InputError("the example holds values that are infinite or not a number")
    inputs = example.detach().to(next(model.parameters()).dtype)
    with torch.no_grad():
        logits = run(model, inputs)
    if not bool(logits.isfinite().all()):
        raise InputError(
            f"{type(model).__name__} gives logits that are infinite or not a number",
            hint="look at how the network was trained: it has probably diverged",
        )
    input_gradient(model, inputs[:1])  # raises if there is none; the proof compares gradients
    return example.detach()

"""A whole network made ready for execution in one of several ways, each of the same function.

``plain``: as torch calls it, step by step. ``channels last``: the channels of one pixel lie side by
side, so that the library's convolutions read whole vectors of them, and convolutions of few filters
and max pooling have quicker forms (:mod:`robench.deploy.nhwc_forms`). ``planar``: one channel lies
after the other, and convolutions have kernels of their own (:mod:`robench.deploy.nchw_fusion`).
``frozen``: TorchScript with the weights as constants, which spares the calls from Python, in either
layout. ``optimised``: TorchScript whose weights were laid out for oneDNN beforehand, which serves
depthwise convolutions best. None needs a compiler.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, cast

import torch
from torch import fx, nn
from torch.jit._trace import TracerWarning

from robench.deploy.nchw_fusion import take
from robench.deploy.nhwc_forms import in_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from robench.deploy.recipe import Execution, Recipe

__all__ = ["FAILURES", "executable", "put_channels_last"]

FAILURES = (
    RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError, TracerWarning,
    SystemError,
)  # fmt: skip
"""What torch raises, and the forms of layers, for networks that they do not take."""
_TRACED = 2
"""Inputs that are traced: with a single one, a batch of one might become part of the graph."""
_CALLS_BEFORE = 3
"""TorchScript looks at its first calls, and changes its code after that."""


def executable(
    execution: Execution, network: fx.GraphModule, recipe: Recipe, example: Tensor
) -> Callable[[Tensor], Tensor]:
    """A function that computes a network, of weights of its own.

    Args:
        execution: which way.
        network: of plain layers, in evaluation mode; it stays as it is.
        recipe: names the forms of its layers.
        example: at least one input; what is made does not depend on its values.

    Raises:
        FAILURES: there is no such thing for this network, or on this machine.
    """
    own = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
    if execution in ("channels last", "frozen channels last"):
        put_channels_last(own)
    if execution == "channels last":
        for name, form in recipe.narrow.items():
            own.set_submodule(name, in_form(own.get_submodule(name), form))
    elif execution == "planar":
        take(own, recipe.planar, example[:1])
    elif execution != "plain":
        return _scripted(own, example, is_optimised=execution == "optimised")
    return own


def _scripted(
    network: nn.Module, example: Tensor, *, is_optimised: bool
) -> Callable[[Tensor], Tensor]:
    batch = example[torch.arange(_TRACED, device=example.device) % len(example)].contiguous()
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is kept by torch, but not developed any more: each call says so.
        warnings.simplefilter("ignore", DeprecationWarning)
        # That something depends on the values, or the number, of what is traced.
        warnings.simplefilter("error", TracerWarning)
        traced = torch.jit.trace(network, batch, check_trace=False)  # type: ignore[no-untyped-call]
        make = torch.jit.optimize_for_inference if is_optimised else torch.jit.freeze
        script = cast("Callable[[Tensor], Tensor]", make(traced))
        for _ in range(_CALLS_BEFORE):
            script(batch)
    return script


def put_channels_last(module: fx.GraphModule) -> None:
    """Hand the first convolutions their maps with channels last, and lay all filters out alike.

    What convolutions write then lies likewise. What comes before them is left as it is: steps over
    three channels are slow where these lie last.
    """
    parts, behind = dict(module.named_modules()), set[fx.Node]()
    for node in list(module.graph.nodes):
        is_conv = node.op == "call_module" and isinstance(parts[str(node.target)], nn.Conv2d)
        if is_conv and behind.isdisjoint(node.all_input_nodes):
            (maps,) = node.all_input_nodes
            with module.graph.inserting_before(node):
                turned = module.graph.call_method(
                    "contiguous", (maps,), {"memory_format": torch.channels_last}
                )
            node.replace_input_with(maps, turned)
        if is_conv or not behind.isdisjoint(node.all_input_nodes):
            behind.add(node)
    module.recompile()
    for node in module.graph.nodes:
        part = parts.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(part, nn.Conv2d):
            # Not `contiguous`: filters of one channel lie either way, and would stay as they are.
            part.weight.data = part.weight.data.to(memory_format=torch.channels_last)

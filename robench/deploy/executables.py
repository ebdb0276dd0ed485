"""Executable forms of a whole network, all of the same function.

``plain``: eager torch, step by step. ``channels last``: NHWC layout, in which the library's
convolutions read the channels of a pixel as whole vectors; narrow convolutions and max pooling have
faster forms (:mod:`robench.deploy.nhwc_forms`). ``planar``: NCHW layout with fused, compiled
convolutions (:mod:`robench.deploy.nchw_fusion`). ``frozen``: TorchScript with the weights as
constants, which avoids calls from Python, in either layout. ``optimised``: TorchScript with weights
in the layout of oneDNN, best for depthwise convolutions. None needs a compiler.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, cast

import torch
from torch import fx, nn
from torch.jit._trace import TracerWarning

from robench.deploy.nchw_fusion import fuse
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
"""What torch and the forms of layers raise for networks that they do not support."""
_TRACED = 2
"""Batch size for tracing: a batch size of 1 might become a constant of the graph."""
_CALLS_BEFORE = 3
"""Warm-up calls: TorchScript profiles its first calls and optimises its code after them."""


def executable(
    execution: Execution, network: fx.GraphModule, recipe: Recipe, example: Tensor
) -> Callable[[Tensor], Tensor]:
    """Build a function that computes a network, with its own copy of the weights.

    Args:
        execution: how the network is executed.
        network: of plain layers, in evaluation mode; it is not changed.
        recipe: names the forms of its layers.
        example: at least one input; only its shape matters.

    Raises:
        FAILURES: this network cannot be executed so, or not on this machine.
    """
    own = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
    if execution in ("channels last", "frozen channels last"):
        put_channels_last(own)
    if execution == "channels last":
        for name, form in recipe.narrow.items():
            own.set_submodule(name, in_form(own.get_submodule(name), form))
    elif execution == "planar":
        fuse(own, recipe.planar, example[:1])
    elif execution != "plain":
        return _scripted(own, example, is_optimised=execution == "optimised")
    return own


def _scripted(
    network: nn.Module, example: Tensor, *, is_optimised: bool
) -> Callable[[Tensor], Tensor]:
    batch = example[torch.arange(_TRACED, device=example.device) % len(example)].contiguous()
    with warnings.catch_warnings(), torch.no_grad():
        # TorchScript is deprecated, and each call warns of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Raised where the graph depends on the values or the number of the traced inputs.
        warnings.simplefilter("error", TracerWarning)
        traced = torch.jit.trace(network, batch, check_trace=False)  # type: ignore[no-untyped-call]
        make = torch.jit.optimize_for_inference if is_optimised else torch.jit.freeze
        script = cast("Callable[[Tensor], Tensor]", make(traced))
        for _ in range(_CALLS_BEFORE):
            script(batch)
    return script


def put_channels_last(module: fx.GraphModule) -> None:
    """Convert the input of the first convolutions, and all filters, to channels last (NHWC).

    The outputs of convolutions then have the same layout. Steps before the first convolution keep
    NCHW: on three channels they are slow in NHWC.
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
            # Not `contiguous`: filters of one channel satisfy both layouts, and would stay.
            part.weight.data = part.weight.data.to(memory_format=torch.channels_last)

"""Which units of a layer can be told apart in the inputs of the next one.

A unit (an output channel or feature) can only be taken out where every step up to the next layer
treats each channel by itself. This file knows which steps do.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from robench.errors import CompactionError

if TYPE_CHECKING:
    from robench.models.chain import Layer, Operation

__all__ = ["Link", "Norm", "link_layers"]


@dataclass(frozen=True, eq=False)
class Norm:
    """A BatchNorm on the way, and how many of its features belong to one unit."""

    name: str
    module: nn.BatchNorm1d | nn.BatchNorm2d
    block: int


@dataclass(frozen=True, eq=False)
class Link:
    """The way from a layer's units to the inputs of the next layer.

    Attributes:
        layer: where it starts.
        consumer: the next layer.
        block: inputs of the consumer that one unit feeds: height times width after a flatten,
            else 1. Those of unit ``u`` are ``u*block … (u+1)*block - 1``.
        norms: every BatchNorm on the way.
        barrier: why no unit may be taken out, or ``None``.
    """

    layer: Layer
    consumer: Layer
    block: int = 1
    norms: tuple[Norm, ...] = ()
    barrier: str | None = None


def link_layers(layers: list[Layer]) -> list[Link]:
    """One link for each two layers that follow each other, in forward order.

    Raises:
        CompactionError: the weight of a layer is computed from other tensors on each call.
    """
    for layer in layers:
        _refuse_computed_weight(layer)
    return [_link(layer, consumer) for layer, consumer in pairwise(layers)]


def _link(layer: Layer, consumer: Layer) -> Link:
    barrier = (
        _layer_barrier(layer) or _layer_barrier(consumer) or _way_barrier(layer, consumer.module)
    )
    if barrier is not None:
        return Link(layer, consumer, barrier=barrier)
    block = _inputs(consumer.module) // layer.units
    norms = tuple(
        Norm(step.name, step.module, step.module.num_features // layer.units)
        for step in layer.between
        if isinstance(step.module, nn.BatchNorm1d | nn.BatchNorm2d)
    )
    return Link(layer, consumer, block, norms)


def _inputs(module: nn.Conv2d | nn.Linear) -> int:
    return module.in_channels if isinstance(module, nn.Conv2d) else module.in_features


def _refuse_computed_weight(layer: Layer) -> None:
    own = dict(layer.module.named_parameters(recurse=False))
    if "weight" not in own:
        raise CompactionError(
            f"the weight of {layer.name!r} is no parameter but computed on each call",
            where=layer.name,
            hint="make it permanent first: torch.nn.utils.prune.remove, "
            "torch.nn.utils.parametrize.remove_parametrizations",
        )


def _layer_barrier(layer: Layer) -> str | None:
    """Why neither the units nor the inputs of this layer can be changed."""
    module = layer.module
    if type(module) not in (nn.Conv2d, nn.Linear):
        return f"{layer.name!r} is a {type(module).__name__}, not a plain Conv2d or Linear"
    if isinstance(module, nn.Conv2d) and module.groups != 1:
        return f"{layer.name!r} is a grouped convolution"
    return None


def _way_barrier(layer: Layer, consumer: nn.Module) -> str | None:
    """Why the channels of `layer` are not the inputs of `consumer`, one after the other."""
    for step in layer.between:
        if not (_is_channelwise(step) or _is_flatten(step)):
            return f"{_words(step)} may mix or count channels"
    is_conv, to_conv = isinstance(layer.module, nn.Conv2d), isinstance(consumer, nn.Conv2d)
    flattens = any(map(_is_flatten, layer.between))
    if is_conv != to_conv and not (is_conv and flattens):
        return "its channels are not the inputs of the next layer"
    return None


def _words(step: Operation) -> str:
    kind = type(step.module).__name__ if step.module is not None else "a function"
    return f"{step.name!r} ({kind})"


def _is_channelwise(step: Operation) -> bool:
    if step.module is None:
        return step.target in _FUNCTIONS or step.target in _METHODS
    if isinstance(step.module, nn.PReLU):
        return step.module.num_parameters == 1
    return type(step.module) in _MODULES


def _is_flatten(step: Operation) -> bool:
    """Whether the step lays everything but the batch in one row, whatever the width."""
    if isinstance(step.module, nn.Flatten):
        return (step.module.start_dim, step.module.end_dim) == (1, -1)
    arguments = (*step.args[1:], *step.kwargs.values())
    if step.target is torch.flatten or step.target == "flatten":
        return arguments in ((1,), (1, -1))
    if step.target in ("view", "reshape"):
        return _is_batch_and_rest(arguments)
    return False


def _is_batch_and_rest(arguments: tuple[Any, ...]) -> bool:
    """``x.view(x.size(0), -1)``: a width written as a number would not survive the surgery."""
    return len(arguments) == 2 and isinstance(arguments[0], fx.Node) and arguments[1] == -1


# Exact types: a subclass may do anything.
_ACTIVATIONS = {
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid,
    nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
}  # fmt: skip
_POOLINGS = {nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d}
_DROPOUTS = {nn.AlphaDropout, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.FeatureAlphaDropout}
_MODULES: set[type[nn.Module]] = {
    *_ACTIVATIONS, *_POOLINGS, *_DROPOUTS, nn.BatchNorm1d, nn.BatchNorm2d,
}  # fmt: skip
_FUNCTIONS: set[object] = {
    torch.relu, torch.relu_, torch.sigmoid, torch.tanh,
    F.celu, F.elu, F.gelu, F.hardsigmoid, F.hardswish, F.hardtanh, F.leaky_relu, F.logsigmoid,
    F.mish, F.relu, F.relu6, F.selu, F.sigmoid, F.silu, F.softplus, F.softsign, F.tanh,
    F.adaptive_avg_pool2d, F.adaptive_max_pool2d, F.avg_pool2d, F.max_pool2d, torch.max_pool2d,
    F.alpha_dropout, F.dropout, F.dropout1d, F.dropout2d,
}  # fmt: skip
_METHODS = {"contiguous", "relu", "relu_", "sigmoid", "tanh"}

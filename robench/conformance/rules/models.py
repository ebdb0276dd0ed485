"""What a model keeps to, on inputs of several shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robench.compaction import compact
from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.rules.common import (
    documented,
    globals_kept,
    imports_cleanly,
    tensors_kept,
)
from robench.errors import CompactionError, NotApplicableError, UsageError
from robench.models import build
from robench.models.base import prunable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from robench.conformance.subject import PluginSubject
    from robench.models.base import Network

__all__ = ["RULES"]

_SHAPES = ((1, 8, 8), (3, 32, 32), (3, 64, 64), (9,))
"""Grey digits, small and larger colour images, rows of features."""
_CLASSES = 4
_SAMPLES = 6
_PRECISION = 1e-4


@rule("derive sizes from self.input_shape, return self.classes outputs, or raise NotApplicable")
def takes_or_declines(subject: PluginSubject) -> str:
    """Every input shape gives finite logits for each class, or is declined with a reason."""
    taken = []
    for shape in _SHAPES:
        model = _built(subject, shape)
        if model is None:
            continue
        logits = model(_inputs(shape))
        if tuple(logits.shape) != (_SAMPLES, _CLASSES):
            why = f"inputs {shape} give {tuple(logits.shape)}, not {(_SAMPLES, _CLASSES)}"
            raise BrokenError(why, subject.line_of())
        if not bool(logits.isfinite().all()):
            raise BrokenError(f"inputs {shape} give logits that are not finite", subject.line_of())
        taken.append("x".join(map(str, shape)))
    if not taken:
        raise BrokenError("it declines every shape that the kit has", subject.line_of())
    return ", ".join(taken)


@rule("draw initial weights only from torch's global generator, which robench seeds")
def seeded(subject: PluginSubject) -> str:
    """The same seed gives the same weights, another seed gives others."""
    shape, first = _first(subject)
    again, other = _built(subject, shape), _built(subject, shape, seed=2)
    if again is None or other is None or _far(first, again):
        raise BrokenError("one seed gives different weights", subject.line_of())
    if not _far(first, other):
        raise BrokenError("two seeds give the same weights", subject.line_of())
    return "by seed"


@rule("restore what building changes: generators, default dtype, threads, grad mode")
def restores_globals(subject: PluginSubject) -> str:
    """Building and running leave generators, default dtype, threads and grad mode unchanged."""
    shape, _ = _first(subject)
    with globals_kept(subject, "layers"):
        model = _built(subject, shape)
        if model is not None:
            model(_inputs(shape))
    return "all as before"


@rule("work on copies in forward()")
def leaves_inputs_alone(subject: PluginSubject) -> str:
    """The inputs are not modified."""
    for shape, model in _models(subject):
        inputs = _inputs(shape)
        with tensors_kept(subject, "forward", {"the inputs": inputs}):
            model(inputs)
    return "for every shape"


@rule("in evaluation mode use no batch statistics and no random numbers")
def samples_are_independent(subject: PluginSubject) -> str:
    """In evaluation mode logits are deterministic and do not depend on the batch."""
    for shape, model in _models(subject):
        inputs = _inputs(shape)
        together = model(inputs)
        apart = torch.cat([model(inputs[i : i + 1]) for i in range(_SAMPLES)])
        far = float((together - apart).detach().abs().max() / together.detach().abs().max())
        if far > _PRECISION:
            raise BrokenError(f"alone, logits differ by {far:.2g} ({shape})", subject.line_of())
    return "alone and together"


@rule("do not use detach(), argmax() or numpy in forward()")
def gradients_flow(subject: PluginSubject) -> str:
    """The logits have finite gradients with respect to the inputs and every prunable weight."""
    for shape, model in _models(subject):
        inputs = _inputs(shape).requires_grad_()
        weights = prunable(model)
        loss = torch.nn.functional.cross_entropy(model(inputs), torch.arange(_SAMPLES) % _CLASSES)
        found = torch.autograd.grad(loss, [inputs, *weights.values()], allow_unused=True)
        for name, gradient in zip(("the inputs", *weights), found, strict=True):
            if gradient is None or not bool(gradient.isfinite().all()):
                raise BrokenError(f"there is no finite gradient by {name}", subject.line_of())
    return "by inputs and weights"


@rule("name parameters of the network: weights of layers, as in named_parameters()")
def names_prunable_weights(subject: PluginSubject) -> str:
    """There are prunable weights, and their names are those of parameters of the network."""
    shape, model = _first(subject)
    weights, own = prunable(model), dict(model.named_parameters())
    if not weights:
        raise BrokenError("nothing can be pruned", subject.line_of("prunable"))
    for name, weight in weights.items():
        if own.get(name) is not weight:
            raise BrokenError(f"{name!r} is no parameter of it", subject.line_of("prunable"))
    total = sum(weight.numel() for weight in weights.values())
    return f"{len(weights)} tensors, {total:,} weights, for {'x'.join(map(str, shape))}"


@rule("store everything that the outputs depend on in parameters and buffers")
def reloads(subject: PluginSubject) -> str:
    """Its state dict, loaded into a network of another seed, gives the same logits."""
    shape, model = _first(subject)
    other = _built(subject, shape, seed=2)
    if other is None:
        raise SkippedError("it was declined this time")
    other.load_state_dict(model.state_dict())
    if _far(model, other) or not torch.equal(model(_inputs(shape)), other(_inputs(shape))):
        raise BrokenError("with the same state it gives other logits", subject.line_of())
    return f"{len(model.state_dict())} tensors"


@rule("use torch layers in forward(), without control flow that depends on values")
def compacts(subject: PluginSubject) -> str:
    """With pruned units, compaction preserves the outputs, or says why it cannot compact."""
    shape, model = _first(subject)
    with torch.no_grad():
        for weight in list(prunable(model).values())[:-1]:
            weight[: len(weight) // 2] = 0
    before = sum(parameter.numel() for parameter in model.parameters())
    try:
        smaller = compact(model, _inputs(shape), columns=False)
    except (CompactionError, NotApplicableError, UsageError) as error:
        return f"not, since {str(error).partition(chr(10))[0]}"
    after = sum(parameter.numel() for parameter in smaller.parameters())
    return f"{before:,} parameters to {after:,}"


RULES = (
    documented,
    imports_cleanly,
    takes_or_declines,
    seeded,
    restores_globals,
    leaves_inputs_alone,
    samples_are_independent,
    gradients_flow,
    names_prunable_weights,
    reloads,
    compacts,
)


def _built(subject: PluginSubject, shape: tuple[int, ...], seed: int = 1) -> Network | None:
    """The network in evaluation mode; `None` where it declines the shape."""
    subject.note(f"building it for inputs {shape}")
    try:
        model = build(
            subject.name,
            input_shape=shape,
            classes=_CLASSES,
            mean=[0.4] * shape[0],
            std=[0.3] * shape[0],
            seed=seed,
        )
    except NotApplicableError:
        return None
    return model.eval()


def _models(subject: PluginSubject) -> Iterator[tuple[tuple[int, ...], Network]]:
    for shape in _SHAPES:
        model = _built(subject, shape)
        if model is not None:
            yield shape, model


def _first(subject: PluginSubject) -> tuple[tuple[int, ...], Network]:
    for shape, model in _models(subject):
        return shape, model
    raise SkippedError("it declines every shape; see `takes-or-declines`")


def _inputs(shape: tuple[int, ...]) -> Tensor:
    return torch.rand((_SAMPLES, *shape), generator=torch.Generator().manual_seed(5))


def _far(one: Network, other: Network) -> bool:
    """Whether two networks have different weights."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return not all(torch.equal(mine, theirs) for mine, theirs in pairs)

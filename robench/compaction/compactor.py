"""The front door: a network with zeros in, a smaller one out, or an error.

The recommendation to let zeros drive the removal, to fold constants, and to compare the gradients
too answers what users of structured pruning report most: outputs that change when a BatchNorm or
a bias makes a removed channel constant instead of zero (Wen et al. 2016, arXiv:1608.03665,
section 3.2, calls such a neuron a bias neuron).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING

import torch

from robench.compaction.links import link_layers
from robench.compaction.observe import run
from robench.compaction.plan import LayerPlan, plan_compaction
from robench.compaction.proof import prove_equal
from robench.compaction.report import CompactionReport, Differences, LayerReport
from robench.compaction.surgery import shrink
from robench.errors import CompactionError, InputError
from robench.models.chain import chain

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["compact"]


def compact(model: nn.Module, example: Tensor) -> nn.Module:
    """Take the dead neurons and filters out of a network without changing its function.

    A unit goes when nothing reads it, or when it is constant and its constant is zero or can be
    added to the next layer's bias. Behind a convolution padded with zeros a constant other than
    zero cannot: its border would be wrong, so the unit stays and the report says so. Grouped
    convolutions, and layers behind a step that mixes channels, stay whole. Every layer keeps at
    least one unit, and the last layer keeps all.

    The result was compared with the original before it is returned: logits and input gradients,
    in double and single precision, on `example` and on random inputs.

    Args:
        model: a chain of Conv2d and Linear layers in evaluation mode, float32 or float64, on any
            device; it stays as it is.
        example: real inputs, [N, …] as the network takes them, N ≥ 1; some dozen are plenty.

    Returns:
        A network of the same class and structure with smaller layers, on the same device, in the
        same precision. Its ``.report`` is a :class:`robench.compaction.CompactionReport`.

    Raises:
        InputError: the network is in training mode, of another precision or gives logits that are
            not finite, or the example does not fit it.
        NotApplicableError: the network is not a chain; the message names the step.
        CompactionError: layers share a weight, a weight is computed on each call, or the smaller
            network is not equal; the message names the layer.
    """
    with torch.inference_mode(mode=False):  # gradients are compared, whatever the caller does
        precision = _check_model(model)
        inputs = _check_example(model, example).double()
        original = copy.deepcopy(model).double()
        layers = chain(original)
        plans = plan_compaction(original, layers, link_layers(layers), inputs)
        compacted = copy.deepcopy(original)
        shrink(compacted, plans)
        differences = prove_equal(original, compacted, plans, inputs)
        compacted.to(precision)
    # nn.Module has no such attribute in its type, and must not take the report for a submodule.
    object.__setattr__(compacted, "report", _report(plans, differences, model, compacted))
    return compacted


def _check_model(model: nn.Module) -> torch.dtype:
    """The precision of the network, once nothing speaks against compacting it."""
    _refuse_training(model)
    _refuse_shared(model)
    link_layers(chain(model))  # before the copy, which computed weights do not survive
    kinds = {parameter.dtype for parameter in model.parameters()}
    if len(kinds) != 1 or not kinds <= {torch.float32, torch.float64}:
        raise InputError(
            f"the parameters of {type(model).__name__} are "
            f"{' and '.join(sorted(str(kind).removeprefix('torch.') for kind in kinds))}",
            allowed="all float32, or all float64",
            hint="model.float()",
        )
    return kinds.pop()


def _refuse_training(model: nn.Module) -> None:
    training = [
        name or type(model).__name__ for name, part in model.named_modules() if part.training
    ]
    if training:
        raise InputError(
            f"{training[0]!r} is in training mode, in which its outputs depend on the batch",
            where=training[0],
            hint="model.eval()",
        )


def _refuse_shared(model: nn.Module) -> None:
    names: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    for shared in names.values():
        if len(shared) > 1:
            raise CompactionError(
                f"{' and '.join(map(repr, shared))} are one and the same parameter",
                where=shared[0],
                hint="give each layer a weight of its own: copy.deepcopy the layer",
            )


def _check_example(model: nn.Module, example: Tensor) -> Tensor:
    if not example.is_floating_point() or example.ndim < 2 or len(example) == 0:
        raise InputError(
            f"the example is {str(example.dtype).removeprefix('torch.')} of shape "
            f"{tuple(example.shape)}",
            allowed="a floating-point batch of at least one input, batch first",
        )
    if not bool(example.isfinite().all()):
        raise InputError("the example holds values that are infinite or not a number")
    with torch.no_grad():
        logits = run(model, example.detach().to(next(model.parameters()).dtype))
    if not bool(logits.isfinite().all()):
        raise InputError(
            f"{type(model).__name__} gives logits that are infinite or not a number",
            hint="look at how the network was trained: it has probably diverged",
        )
    return example.detach()


def _report(
    plans: list[LayerPlan], differences: Differences, before: nn.Module, after: nn.Module
) -> CompactionReport:
    return CompactionReport(
        layers=tuple(_layer_report(plan) for plan in plans),
        differences=differences,
        parameters_before=sum(parameter.numel() for parameter in before.parameters()),
        parameters_after=sum(parameter.numel() for parameter in after.parameters()),
    )


def _layer_report(plan: LayerPlan) -> LayerReport:
    return LayerReport(
        name=plan.layer.name,
        kind=type(plan.layer.module).__name__,
        units_before=plan.layer.units,
        units_after=int(plan.kept.sum()),
        constants_folded=plan.folded,
        note=_note(plan),
    )


def _note(plan: LayerPlan) -> str | None:
    if plan.link is not None and plan.link.barrier is not None:
        return plan.link.barrier
    if plan.link is not None and plan.pinned:
        return (
            f"{plan.pinned} constant units stay: {plan.link.consumer.name!r} pads them with zeros"
        )
    return None

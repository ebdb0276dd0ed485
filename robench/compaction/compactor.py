"""The front door: a network with zeros in, a smaller one out, or an error.

The recommendation to let zeros drive the removal, to fold constants, and to compare the gradients
too answers what users of structured pruning report most: outputs that change when a BatchNorm or
a bias makes a removed channel constant instead of zero (Wen et al. 2016, arXiv:1608.03665,
section 3.2, calls such a neuron a bias neuron).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, get_args

import torch

from robench.compaction.branches import drop_constant_branches
from robench.compaction.columns import apply_columns, choose_columns
from robench.compaction.keep import Constants, Plan
from robench.compaction.observe import run
from robench.compaction.operations import words
from robench.compaction.proof import prove_equal
from robench.compaction.report import CompactionReport, LayerReport
from robench.compaction.surgery import shrink
from robench.compaction.trace import Traced, traced_copy
from robench.errors import CompactionError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from robench.compaction.columns import ColumnChoice

__all__ = ["compact"]


def compact(
    model: nn.Module, example: Tensor, *, constants: Constants = "keep", columns: bool = True
) -> nn.Module:
    """Take the dead neurons, filters and branches out of a network without changing its function.

    A unit goes when nothing reads it, or when it is constant and its constant is zero or can be
    added to the next layer's bias. Units that a residual sum ties together go together. A branch
    that is constant in all its channels goes as a whole. Inputs of the network that nothing reads
    are left out where that is quicker. A convolution whose columns (positions of the kernel in one
    input channel, over all filters) are partly zero is computed over the others where that was
    measured to be quicker, for images of this size. What lies next to a step that may mix channels
    stays whole. Every layer that stays keeps at least one unit, and the last layer keeps all.

    The result was compared with the original before it is returned: logits and input gradients,
    in double and single precision, on `example` and on random inputs.

    Args:
        model: a network of Conv2d and Linear layers that torch.fx can trace, in evaluation mode,
            float32 or float64, on any device; it stays as it is.
        example: real inputs, [N, …] as the network takes them, N ≥ 1; some dozen are plenty.
        constants: what becomes of a constant other than zero behind which a convolution is padded
            with zeros, so that no single bias can take it over. ``keep``: its unit stays, and the
            report says so. ``bias-map``: the next layer gets a bias for each pixel; exact, and for
            images of this size alone. ``zero-bn``: the BatchNorm on the way is told to make the
            constant zero first. That changes the function; the report says by how much, and the
            rest is exact.
        columns: whether convolutions may be computed over their columns that are not zero.

    Returns:
        A network with smaller layers, on the same device, in the same precision: of the same class
        and structure where only layers became smaller, else a :class:`torch.fx.GraphModule`. Its
        ``.report`` is a :class:`robench.compaction.CompactionReport`.

    Raises:
        InputError: the network is in training mode, of another precision or gives logits that are
            not finite, the example does not fit it, or there is no such `constants`.
        NotApplicableError: the network cannot be traced; the message names the step.
        CompactionError: layers share a weight, a layer is called twice, a weight is computed on
            each call, or the smaller network is not equal; the message names the layer.
    """
    if constants not in get_args(Constants):
        raise InputError(f"constants={constants!r}", allowed=get_args(Constants))
    with torch.inference_mode(mode=False):  # gradients are compared, whatever the caller does
        precision = _check_model(model)
        inputs = _check_example(model, example).double()
        original = copy.deepcopy(model).double()
        change = _silence(original, inputs) if constants == "zero-bn" else 0.0
        compacted = copy.deepcopy(original)
        module = traced_copy(compacted)
        names = [str(node.target) for node, _ in Traced(module, inputs[:1]).weighted]
        edits = drop_constant_branches(module, inputs[:1], constants)
        traced = Traced(module, inputs[:1])
        plan = Plan(traced, constants)
        edits += shrink(traced, plan)
        if edits:
            compacted = module.eval()
        choices = _columns(compacted, inputs.to(precision)) if columns else []
        kept = {layer.name: layer.kept for layer in plan.layers}
        differences = prove_equal(original, compacted, kept, inputs)
        compacted.to(precision)
    report = CompactionReport(
        layers=tuple(_layer_reports(names, traced, plan, original)),
        differences=differences,
        parameters_before=sum(parameter.numel() for parameter in model.parameters()),
        parameters_after=sum(parameter.numel() for parameter in compacted.parameters()),
        columns=tuple(choices),
        edits=tuple(edits),
        changed_by_zero_bn=change,
    )
    # nn.Module has no such attribute in its type, and must not take the report for a submodule.
    object.__setattr__(compacted, "report", report)
    return compacted


def _columns(compacted: nn.Module, example: Tensor) -> list[ColumnChoice]:
    """Compute convolutions over the columns that are left where that pays."""
    choices = choose_columns(copy.deepcopy(compacted).to(example.dtype), example)
    apply_columns(compacted, choices)
    return choices


def _silence(model: nn.Module, inputs: Tensor) -> float:
    """Have BatchNorm make zero what would otherwise stay for its border; how far logits move."""
    with torch.no_grad():
        before = run(model, inputs)
        traced = Traced(traced_copy(model), inputs[:1])
        plan = Plan(traced, "keep")
        stuck = torch.zeros_like(plan.needed)
        for layer in plan.layers:
            stuck[plan.strands.of[layer.node][layer.stuck]] = True
        for node, own in plan.strands.of.items():
            if traced.kinds[node] == "norm":
                for parameter in traced.parts[str(node.target)].parameters():
                    parameter[stuck[own]] = 0
        return float((run(model, inputs) - before).abs().amax())


def _check_model(model: nn.Module) -> torch.dtype:
    """The precision of the network, once nothing speaks against compacting it."""
    _refuse_training(model)
    _refuse_shared(model)
    traced_copy(model)  # before the copy, which computed weights do not survive
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


def _layer_reports(
    names: list[str], traced: Traced, plan: Plan, original: nn.Module
) -> Iterator[LayerReport]:
    """One entry a layer of the original; what is in the graph no more went with its branch."""
    plans = {layer.name: layer for layer in plan.layers}
    whole = {str(node.target): words(node, traced.parts) for node, _ in traced.weighted}
    for name in names:
        layer, own = original.get_submodule(name), plans.get(name)
        units = len(layer.get_parameter("weight"))
        yield LayerReport(
            name=name,
            kind=type(layer).__name__,
            units_before=units,
            units_after=int(own.kept.sum()) if own else units * (name in whole),
            constants_folded=int(own.folded.sum()) if own else 0,
            note=own.why if own else _note(whole.get(name)),
        )


def _note(step: str | None) -> str:
    if step is None:
        return "its branch is constant"
    return f"{step} is no plain Conv2d of maps or Linear of rows"

"""Compaction: removes dead units of a network exactly, or raises an error.

What is removed follows from the zeros alone; constants are folded, and gradients are compared too.
The most frequent problem of users of structured pruning is that outputs change because a BatchNorm
or a bias makes a removed channel constant instead of zero (Wen et al. 2016, arXiv:1608.03665,
section 3.2, call such a neuron a bias neuron).
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch

from robench.compaction.branches import drop_constant_branches
from robench.compaction.graph_edits import Edit, apply_edits, free_name
from robench.compaction.pruning_plan import Constants, Plan, Policy
from robench.compaction.report import CompactionReport, LayerReport
from robench.compaction.surgery import count_features, shrink
from robench.compaction.torch_pruning import remove_dead_groups
from robench.deploy.columns import apply_columns, choose_columns, undo_columns
from robench.deploy.forms.gathered import GatheredConv2d
from robench.errors import InputError, NotApplicableError
from robench.graph.budget import CHOICE_S, Budget
from robench.graph.checks import check_example, check_network, precision_of
from robench.graph.observe import run
from robench.graph.operations import Weighted, unit_count, words
from robench.graph.proof import prove_equal, prove_equal_at_sizes, worst
from robench.graph.sizes import lengths_taken, only_shape, sizes_taken
from robench.graph.trace import Traced, traced_copy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from robench.deploy.columns import ColumnChoice

__all__ = ["Backend", "compact"]

Backend: TypeAlias = Literal["fx", "torch-pruning"]


@dataclass(frozen=True)
class _Smaller:
    """A pruned network, before it is proven equal.

    Attributes:
        network: float64.
        kept: layer → bool [units], units of the original that it has.
        layers: one entry per layer of the original.
        edits: changes of its graph.
        whole: layers whose weights forward() reads directly.
    """

    network: nn.Module
    kept: Mapping[str, Tensor]
    layers: tuple[LayerReport, ...]
    edits: tuple[Edit, ...] = ()
    whole: frozenset[str] = frozenset()


def compact(
    model: nn.Module,
    example: Tensor,
    *,
    constants: Constants = "keep",
    columns: bool = True,
    backend: Backend = "fx",
    choice_s: float = CHOICE_S,
) -> nn.Module:
    """Remove dead neurons, filters and branches from a network without changing its function.

    A unit is removed if nothing reads it, or if it is constant and the constant is zero or can be
    folded into the next layer's bias. Units that a residual sum couples are removed together. A
    branch with constant output is removed as a whole. Unread inputs of the network are left out if
    that is faster. A convolution with zero columns (positions of the kernel in one input channel,
    over all filters) is computed over the nonzero columns if that was measured to be faster, for
    images of this size. Channels next to a step that may mix channels are kept. Every kept layer
    has at least one unit, and the last layer keeps all.

    The removal is valid for all image sizes that the network takes. If a folded constant would
    differ at another size (``constants="bias-map"``, or the border from padding in a network that
    takes one size only), the result refuses other sizes, and its report names its size.

    The result was compared with the original before it is returned: logits and input gradients, in
    double and single precision, on `example` and on random inputs, dark, inverted and negative ones
    among them, and on images of some other sizes.

    Args:
        model: a network of convolutions (also transposed ones) and Linear layers that torch.fx can
            trace, in evaluation mode, float32 or float64, on any device; it is not changed.
        example: real inputs, [N, …] as the network takes them, N ≥ 1; a few dozen are enough.
        constants: treatment of a nonzero constant in front of a zero-padded convolution, which no
            single bias can absorb. ``keep``: its unit is kept, with a note in the report.
            ``bias-map``: the next layer gets a bias for each pixel; exact, but other image sizes
            are refused. ``zero-bn``: the BatchNorm in between is set so that the constant is zero.
            That changes the function; the report says by how much, and the rest is exact.
        columns: whether convolutions may be computed over their nonzero columns.
        backend: how the network is traced. ``fx``: torch.fx, all of the above. ``torch-pruning``:
            the package of that name, for networks that torch.fx cannot trace. It removes only
            channels whose weights are zero in all coupled layers and that are zero wherever they
            are read; `constants` must be ``keep``. It traces the path of the example through
            forward(). The proof is the same.
        choice_s: seconds for timing forms of convolutions with zero columns, those with most to
            gain first; layers that are not reached stay dense, with a note in the report.

    Returns:
        A network with smaller layers, on the same device, in the same precision: of the same class
        and structure where only layers became smaller, else a :class:`torch.fx.GraphModule`. Its
        ``.report`` is a :class:`robench.compaction.CompactionReport`.

    Raises:
        InputError: the network is in training mode, of another precision or gives logits that are
            not finite, the example does not fit it, there is no such `constants` or `backend`, or
            the backend is not installed.
        NotApplicableError: the network cannot be traced; the message names the step.
        CompactionError: layers share a weight, a layer is called twice, a weight is computed on
            each call, or the smaller network is not equal; the message names the layer.
    """
    _check_choices(constants, backend)
    Budget(choice_s)  # raises if it is no number of seconds
    with torch.inference_mode(
        mode=False
    ):  # gradients are needed, also if the caller has disabled them
        check_network(model)
        precision = precision_of(model)
        inputs = check_example(model, example).double()
        if backend == "fx":
            _check_traceable(model)  # before deepcopy, which fails for computed weights
        original = copy.deepcopy(model).double()
        change = _zero_batch_norms(original, inputs) if constants == "zero-bn" else 0.0
        plain = undo_columns(copy.deepcopy(original))
        sizes, lengths = sizes_taken(original, inputs), lengths_taken(original, inputs)
        if backend == "fx":
            policy = Policy(constants, one_size=not (sizes or lengths))
            smaller = _without_dead_units(plain, inputs, policy)
        else:
            smaller = _Smaller(*remove_dead_groups(plain, inputs, sizes))
        compacted = smaller.network
        if only_shape(compacted):
            sizes, lengths = [], []
        elsewhere = [
            prove_equal_at_sizes(original, compacted, smaller.kept, like, [size])
            for like, size in _elsewhere(inputs, sizes, lengths)
        ]
        single = inputs.to(precision)
        choices = _columns(compacted, single, smaller.whole, choice_s) if columns else []
        differences = prove_equal(original, compacted, smaller.kept, inputs)
        compacted.to(precision)
    report = CompactionReport(
        layers=smaller.layers,
        differences=worst([differences, *elsewhere]),
        parameters_before=sum(parameter.numel() for parameter in model.parameters()),
        parameters_after=sum(parameter.numel() for parameter in compacted.parameters()),
        columns=tuple(choices),
        edits=smaller.edits,
        changed_by_zero_bn=change,
        input_sizes=(tuple(inputs.shape[2:]), *sizes) if inputs.ndim > 2 else (),
        only_shape=tuple(inputs.shape[1:]) if _takes_one_size(compacted) else None,
    )
    # nn.Module has no such attribute in its type, and must not take the report for a submodule.
    object.__setattr__(compacted, "report", report)
    return compacted


def _elsewhere(
    inputs: Tensor, sizes: list[tuple[int, ...]], lengths: list[tuple[int, ...]]
) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """Pairs of an input, for range and channels, and another size at which to compare."""
    for size in sizes:
        yield inputs, size
    low, high = (float(end) for end in inputs.aminmax())
    for shape in lengths:
        spread = torch.linspace(low, high, math.prod(shape)).to(inputs)
        yield spread.view(1, *shape), shape[1:]


def _check_choices(constants: Constants, backend: Backend) -> None:
    if constants not in get_args(Constants):
        raise InputError(f"constants={constants!r}", allowed=get_args(Constants))
    if backend not in get_args(Backend):
        raise InputError(f"backend={backend!r}", allowed=get_args(Backend))
    if backend != "fx" and constants != "keep":
        raise InputError(
            f"constants={constants!r} with backend={backend!r}, which removes zeros alone",
            allowed="constants='keep' there, or backend='fx'",
        )


def _check_traceable(model: nn.Module) -> None:
    try:
        traced_copy(model)
    except NotApplicableError as error:
        hint = f"{error.hint}; or try backend='torch-pruning', which needs no trace"
        raise NotApplicableError(error.what, where=error.where, hint=hint) from error


def _without_dead_units(original: nn.Module, inputs: Tensor, policy: Policy) -> _Smaller:
    compacted = copy.deepcopy(original)
    module = traced_copy(compacted)
    names = [str(node.target) for node, _ in Traced(module, inputs[:1]).weighted]
    dropped = drop_constant_branches(module, inputs[:1], policy)
    traced = Traced(module, inputs[:1])
    plan = Plan(traced, policy)
    edits = [branch.edit for branch in dropped] + shrink(traced, plan)
    branches, layers = ([one.at_one_size for one in found] for found in (dropped, plan.layers))
    if any([*branches, *layers]) and only_shape(module) is None:
        (step,) = (node.name for node in traced.nodes if traced.kinds[node] == "input")
        name, shape = free_name(module, "one_size"), tuple(inputs.shape[1:])
        edits.append(Edit("one-size", step, name, sizes=shape))
        apply_edits(module, edits[-1:], {})
    network = module.eval() if edits else compacted
    if not edits:
        count_features(network, traced)
    return _Smaller(
        network=network,
        kept={layer.name: layer.kept for layer in plan.layers},
        layers=tuple(_layer_reports(names, traced, plan, original)),
        edits=tuple(edits),
        whole=frozenset(plan.coupling.whole),
    )


def _columns(
    compacted: nn.Module, example: Tensor, whole: frozenset[str], choice_s: float
) -> list[ColumnChoice]:
    """Compute convolutions over their nonzero columns where that is faster."""
    single, budget = copy.deepcopy(compacted).to(example.dtype), Budget(choice_s)
    found = choose_columns(single, example, budget=budget)
    choices = [choice for choice in found if choice.name not in whole]
    apply_columns(compacted, choices)
    return choices


def _takes_one_size(compacted: nn.Module) -> bool:
    gathers = any(isinstance(part, GatheredConv2d) for part in compacted.modules())
    return gathers or only_shape(compacted) is not None


def _zero_batch_norms(model: nn.Module, inputs: Tensor) -> float:
    """Zero the BatchNorm of constants that would be kept; largest change of a logit."""
    with torch.no_grad():
        before = run(model, inputs)
        traced = Traced(traced_copy(model), inputs[:1])
        plan = Plan(traced, Policy("keep"))
        stuck = torch.zeros_like(plan.needed)
        for layer in plan.layers:
            stuck[plan.coupling.of[layer.node][layer.stuck]] = True
        norms = [node for node in plan.coupling.of if traced.kinds[node] == "norm"]
        calls = Counter(traced.norm(node).name for node in norms)
        for node in norms:
            scale, offset = (traced.norm_tensor(node, name) for name in ("weight", "bias"))
            # In another call its channels may vary.
            if scale is None or calls[traced.norm(node).name] > 1:
                continue
            for tensor in (scale, offset):
                if tensor is not None:
                    tensor[stuck[plan.coupling.of[node]]] = 0
        return float((run(model, inputs) - before).abs().amax())


def _layer_reports(
    names: list[str], traced: Traced, plan: Plan, original: nn.Module
) -> Iterator[LayerReport]:
    """One entry per layer of the original; a layer that is missing was removed with its branch."""
    plans = {layer.name: layer for layer in plan.layers}
    whole = {str(node.target): words(node, traced.parts) for node, _ in traced.weighted}
    for name in names:
        layer, own = original.get_submodule(name), plans.get(name)
        units = unit_count(layer) if isinstance(layer, Weighted) else 0
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
    return f"{step} is no plain layer of maps, rows or tokens, in one place"

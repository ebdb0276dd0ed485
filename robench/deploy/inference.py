"""The inference form: a network as it would be deployed, for dense and compacted networks alike.

BatchNorm in evaluation mode is one scale and one offset per channel, which are folded into the
layer before it. ReLUs work in place. The execution of the remaining network is chosen by timing,
for a single input and for a batch: eager in NCHW or NHWC layout, or as TorchScript
(:mod:`robench.deploy.executables`). Results name the form; it never silently replaces a network.
"""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast, get_args

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from robench.deploy.autotune import fastest, sizes, timed
from robench.deploy.columns import undo_columns
from robench.deploy.executables import FAILURES, executable, put_channels_last
from robench.deploy.inference_module import InferenceForm
from robench.deploy.nchw_fusion import fuse_fastest
from robench.deploy.nhwc_forms import fastest_forms
from robench.deploy.recipe import SCRIPTED, Execution, Recipe
from robench.errors import CompactionError, NotApplicableError
from robench.graph.budget import CHOICE_S, Budget
from robench.graph.checks import check_example, check_network, precision_of
from robench.graph.observe import observe
from robench.graph.operations import BatchNorm, Weighted
from robench.graph.proof import prove_equal, prove_equal_at_sizes
from robench.graph.sizes import sizes_taken
from robench.graph.trace import traced_copy

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["Folded", "folded", "inference_form"]

_IDLE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_IMAGES = 4
"""Dimensions of a batch of images."""
_LEAST_GAIN = 1.03
"""Least speed-up over a simpler execution, so that noise does not decide."""


@dataclass(frozen=True)
class Folded:
    """A network with folded BatchNorms.

    Attributes:
        network: with in-place ReLUs.
        layers: names of the layers that a BatchNorm was folded into.
    """

    network: fx.GraphModule
    layers: set[str]

    def calls(self, *kinds: type[nn.Module]) -> list[str]:
        """Names of the steps that are modules of these kinds."""
        nodes = self.network.graph.nodes
        names = [str(node.target) for node in nodes if node.op == "call_module"]
        return [name for name in names if isinstance(self.network.get_submodule(name), kinds)]


def inference_form(
    model: nn.Module, example: Tensor, *, choice_s: float = CHOICE_S
) -> InferenceForm:
    """Fold BatchNorm, make ReLU work in place, and choose the fastest execution on this machine.

    The result computes the same function and has the same input gradients, which is proven on
    `example` and on random inputs as :func:`robench.compact` does, for each execution that it uses.
    Latency was measured on one thread, for inputs of this size; :class:`InferenceForm` says how
    other sizes and gradients are computed. Its ``.recipe`` holds the choice and the latencies.

    Args:
        model: in evaluation mode, float32 or float64; it is not changed.
        example: real inputs, [N, …] as the network takes them, N ≥ 1; one of them and all are
            timed.
        choice_s: seconds for timing forms of single layers, those with most to gain first; layers
            that are not reached are not changed. The whole network is always timed.

    Raises:
        InputError: the network is in training mode, or does not take the example.
        NotApplicableError: it has neither BatchNorm nor a convolution, or cannot be traced.
        CompactionError: layers share a weight, or the form is not equal; names the layer.
    """
    budget = Budget(choice_s)
    check_network(model)
    precision = precision_of(model)
    with torch.inference_mode(mode=False):
        inputs = check_example(model, example).double()
        original = copy.deepcopy(model).double()
        plain = folded(original, inputs)
        if not plain.layers and not plain.calls(nn.Conv2d):
            raise NotApplicableError("there is neither a BatchNorm to fold nor a convolution")
        recipe = _recipe(plain, inputs.to(precision), budget)
        # The output of a layer with a folded BatchNorm differs, so it cannot be compared by name.
        same = {
            name: torch.ones(_units(plain.network, name), dtype=torch.bool)
            for name in plain.calls(nn.Conv2d, nn.Linear)
            if name not in plain.layers
        }
        # Images of other sizes are computed by the plain network, whatever the execution.
        prove_equal_at_sizes(original, plain.network, same, inputs, sizes_taken(original, inputs))

        def prove(recipe: Recipe) -> None:
            form = InferenceForm(plain.network, recipe).eval()
            prove_equal(original, form, same, inputs)

        return InferenceForm(plain.network, _proven(recipe, prove)).eval().to(precision)


def _proven(recipe: Recipe, prove: Callable[[Recipe], None]) -> Recipe:
    """The recipe without executions that compute another function.

    TorchScript sometimes does: it treats a BatchNorm over tokens as one over features. robench's
    own executions must be equal, so a difference there is an error.
    """
    proven: set[Execution] = set()
    while waiting := {recipe.many, recipe.one} - proven:
        execution = waiting.pop()
        try:
            prove(replace(recipe, one=execution, many=execution))
        except CompactionError as error:
            if execution not in SCRIPTED:
                raise
            notes = {**recipe.notes, execution: f"not equal: {error.what}"}
            recipe = _chosen(replace(recipe, notes=notes))
        proven.add(execution)
    return recipe


def _units(network: nn.Module, name: str) -> int:
    return len(network.get_submodule(name).get_parameter("weight"))


def folded(model: nn.Module, example: Tensor) -> Folded:
    """A copy of a network with folded BatchNorms and without idle steps, of plain layers.

    Args:
        model: it is not changed.
        example: inputs of the shape that it takes, in its precision; their values do not matter.

    Raises:
        NotApplicableError: it cannot be traced.
        CompactionError: a layer is called twice, or its weight is computed on each call.
    """
    module = traced_copy(undo_columns(copy.deepcopy(model).eval()))
    _remove_idle_steps(module)
    layers = _fold(module, example)
    _make_relu_in_place(module)
    return Folded(module.eval(), layers)


def _recipe(plain: Folded, example: Tensor, budget: Budget) -> Recipe:
    """The fastest executions and forms of layers, in the precision of the example."""
    single = copy.deepcopy(plain.network).to(example.dtype).requires_grad_(requires_grad=False)
    precision = str(example.dtype).removeprefix("torch.")
    recipe = Recipe(tuple(example.shape[1:]), precision)
    candidates: tuple[Execution, ...] = ("plain", "frozen", "optimised")
    if example.ndim == _IMAGES and plain.calls(nn.Conv2d):
        candidates = get_args(Execution)
        last = copy.deepcopy(single)
        put_channels_last(last)
        narrow = fastest_forms(last, example, budget.part(0.5))
        planar = fuse_fastest(copy.deepcopy(single), example, budget)
        recipe = replace(recipe, narrow=narrow, planar=planar)
        if budget.is_spent:
            notes = {"layers": "the time for the choice was over before all of them were timed"}
            recipe = replace(recipe, notes=notes)
    forms, notes = _made(candidates, single, recipe, example)
    seconds = timed(forms, example)
    latency_ms = {
        name: {str(size): 1e3 * taken for size, taken in zip(sizes(example), times, strict=True)}
        for name, times in seconds.items()
    }
    return _chosen(replace(recipe, latency_ms=latency_ms, notes={**recipe.notes, **notes}))


def _chosen(recipe: Recipe) -> Recipe:
    """The recipe with the fastest executions among those without a note."""
    timed_ms = {
        execution: list(recipe.latency_ms[execution].values())
        for execution in get_args(Execution)
        if execution in recipe.latency_ms and execution not in recipe.notes
    }
    one, many = (
        cast(
            "Execution",
            fastest({name: [ms[place]] for name, ms in timed_ms.items()}, 0.0, _LEAST_GAIN),
        )
        for place in (0, -1)
    )
    return replace(recipe, one=one, many=many)


def _made(
    candidates: tuple[Execution, ...], single: fx.GraphModule, recipe: Recipe, example: Tensor
) -> tuple[dict[str, InferenceForm], dict[str, str]]:
    """Executions that work for this network on this machine, and why the others do not."""
    forms: dict[str, InferenceForm] = {}
    notes: dict[str, str] = {}
    for execution in candidates:
        own = replace(recipe, one=execution, many=execution)
        try:
            made = executable(execution, single, own, example)
        except FAILURES as error:
            first_line = str(error).strip().partition("\n")[0]
            notes[execution] = f"{type(error).__name__}: {first_line}"
        else:
            forms[execution] = InferenceForm(single, own).eval()
            forms[execution].adopt(execution, made)
    return forms, notes


def _remove_idle_steps(module: fx.GraphModule) -> None:
    """Remove steps that do nothing in evaluation mode."""
    parts = dict(module.named_modules())
    for node in list(module.graph.nodes):
        if node.op == "call_module" and isinstance(parts[str(node.target)], _IDLE):
            node.replace_all_uses_with(node.all_input_nodes[0])
            module.graph.erase_node(node)
    module.delete_all_unused_submodules()
    module.recompile()


def _make_relu_in_place(module: fx.GraphModule) -> None:
    """Let a ReLU overwrite its input if a layer or a sum wrote it and nothing else reads it."""
    parts = dict(module.named_modules())
    for name, part in parts.items():
        if type(part) is nn.ReLU:
            calls = [node for node in module.graph.nodes if node.target == name]
            part.inplace = all(_is_made_for(node, parts) for node in calls)


def _is_made_for(node: fx.Node, parts: dict[str, nn.Module]) -> bool:
    (source,) = node.all_input_nodes
    if source.op == "call_module":
        is_new = isinstance(parts[str(source.target)], Weighted | BatchNorm)
    else:
        is_new = source.target in (operator.add, torch.add)
    return is_new and len(source.users) == 1


def _fold(module: fx.GraphModule, example: Tensor) -> set[str]:
    """Fold each BatchNorm that is the only reader of a layer, in place; names of these layers."""
    parts = dict(module.named_modules())
    linear = [name for name, part in parts.items() if isinstance(part, nn.Linear)]
    seen = observe(module, linear, example[:1])
    # In [N, L, F], BatchNorm's channels are the tokens L, not the features F that Linear writes.
    of_tokens = {name for name, (_, written) in seen.items() if written.ndim > 2}
    folded: set[str] = set()
    for node in list(module.graph.nodes):
        norm = parts.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or norm.running_mean is None:
            continue
        (source,) = node.all_input_nodes
        layer = parts.get(str(source.target)) if source.op == "call_module" else None
        if len(source.users) > 1 or str(source.target) in of_tokens:
            continue
        if isinstance(layer, nn.Conv2d):
            module.set_submodule(str(source.target), fuse_conv_bn_eval(layer, norm))
        elif isinstance(layer, nn.Linear):
            module.set_submodule(str(source.target), fuse_linear_bn_eval(layer, norm))
        else:
            continue
        node.replace_all_uses_with(source)
        module.graph.erase_node(node)
        folded.add(str(source.target))
    module.delete_all_unused_submodules()
    module.recompile()
    return folded

"""BatchNorms of a traced network: called as modules, or computed with ``F.batch_norm``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import fx

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from torch import nn

__all__ = ["NUM_FEATURES", "TENSORS", "Norm", "functional_norms"]

_ORDERS: dict[object, tuple[str, ...]] = {
    F.batch_norm: ("input", "running_mean", "running_var", "weight", "bias", "training"),
    torch.batch_norm: ("input", "weight", "bias", "running_mean", "running_var", "training"),
}
"""Parameters of the functional BatchNorms, in order, up to the last one that matters here."""
TENSORS = ("running_mean", "running_var", "weight", "bias")
"""Names of the tensors of a BatchNorm with one value per channel."""
NUM_FEATURES = "num_features"
"""Name of the attribute of a BatchNorm with its number of channels."""


@dataclass(frozen=True)
class Norm:
    """A BatchNorm in evaluation mode.

    Attributes:
        name: qualified name of the module whose tensors it computes with; ``""`` for the network.
        tensors: names of these tensors in the module, each [channels].
    """

    name: str
    tensors: tuple[str, ...]

    @classmethod
    def of_module(cls, name: str, module: nn.Module) -> Norm:
        """A BatchNorm that is called as a module."""
        return cls(name, tuple(one for one in TENSORS if getattr(module, one, None) is not None))


def functional_norms(module: fx.GraphModule) -> dict[fx.Node, Norm]:
    """Functional BatchNorms in forward(), in evaluation mode.

    Their statistics, weight and bias must be tensors of one module, with the names of BatchNorm,
    and nothing else in the graph may use them.

    Returns:
        The norm of each such step, and of each step that fetches one of its tensors.
    """
    found: dict[fx.Node, Norm] = {}
    for node in module.graph.nodes:
        norm = _norm(node)
        if norm is not None:
            found[node] = norm
    while (alone := _only_alone(module, found)) != found:
        found = alone
    fetched = {read: norm for node, norm in found.items() for read in _tensors(node).values()}
    return {**found, **fetched}


def _arguments(node: fx.Node) -> dict[str, object]:
    placed: dict[str, object] = dict(zip(_ORDERS[node.target], node.args, strict=False))
    return {**placed, **node.kwargs}


def _tensors(node: fx.Node) -> dict[str, fx.Node]:
    """Argument name → the step that fetches the tensor."""
    given = _arguments(node)
    return {name: one for name in TENSORS if isinstance(one := given.get(name), fx.Node)}


def _norm(node: fx.Node) -> Norm | None:
    """The norm that a step computes, if its tensors belong to one module."""
    if node.op != "call_function" or node.target not in _ORDERS:
        return None
    given, tensors = _arguments(node), _tensors(node)
    has_statistics = {"running_mean", "running_var"} <= tensors.keys()
    is_fixed = given.get("training", False) is False and has_statistics
    paths = [str(read.target).rpartition(".") for read in tensors.values() if read.op == "get_attr"]
    owners = {owner for owner, _, _ in paths}
    if not is_fixed or len(owners) != 1 or [name for _, _, name in paths] != [*tensors]:
        return None
    others = [read for read in node.all_input_nodes if read not in tensors.values()]
    return Norm(owners.pop(), tuple(tensors)) if others == [given.get("input")] else None


def _only_alone(module: fx.GraphModule, norms: Mapping[fx.Node, Norm]) -> dict[fx.Node, Norm]:
    """The norms whose tensors are used by norms of the same tensors only."""
    read = [one for node in norms for one in _tensors(node).values()]
    shared = set(_shared(module, read, norms))
    used = {norm.name for norm in norms.values()}
    unlike = {name for name in used if len({one for one in norms.values() if one.name == name}) > 1}
    return {
        node: norm
        for node, norm in norms.items()
        if norm.name not in unlike and shared.isdisjoint(map(str, _targets(norm)))
    }


def _targets(norm: Norm) -> Iterator[str]:
    for tensor in norm.tensors:
        yield f"{norm.name}.{tensor}" if norm.name else tensor


def _shared(
    module: fx.GraphModule, read: Collection[fx.Node], norms: Mapping[fx.Node, Norm]
) -> Iterator[str]:
    """Qualified names of the tensors read that something else uses, under this or another name."""
    held = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    tensors = dict(held)
    names = Counter(id(tensor) for _, tensor in held)
    called = tuple(f"{node.target}." for node in module.graph.nodes if node.op == "call_module")
    targets = {str(one.target) for one in read}
    for node in module.graph.nodes:
        target = str(node.target)
        if node.op != "get_attr" or target not in targets:
            continue
        is_registered = target in tensors and names[id(tensors[target])] == 1
        is_alone = is_registered and not target.startswith(called)
        if not is_alone or not all(user in norms for user in node.users):
            yield target

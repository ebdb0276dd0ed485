"""Branches that run beside an identity shortcut, and can be taken out whole.

Depth-wise structured sparsity (Wen et al. 2016, arXiv 1608.03665, section 3.1) removes layers. In
a residual network that leaves a network: where all weights of a branch are zero, the block hands
its input on.
"""

from __future__ import annotations

import copy
import itertools
import operator
from typing import TYPE_CHECKING

import torch
from torch import fx, nn
from torch.nn import functional as F

from robench.errors import NotApplicableError
from robench.models.chain import trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["identity_branches"]

_REMOVABLE = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)
_SUMS: set[object] = {operator.add, operator.iadd, torch.add, "add", "add_"}
_PRODUCTS: set[object] = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
_RECTIFIERS: set[object] = {F.relu, F.relu6, torch.relu, torch.relu_, "relu", "relu_"}


def identity_branches(model: nn.Module) -> tuple[tuple[str, ...], ...]:
    """The layers of each branch ``f`` of a sum ``x + f(x)``, found by tracing the network.

    A branch counts if its only weights are those of Conv2d, Linear and BatchNorm modules, if
    nothing else reads what it works out, and if it gives exactly zero when all of those are zero.

    Args:
        model: any network, in any mode; it stays as it is.

    Returns:
        For each branch, in forward order, the qualified names of its Conv2d, Linear and BatchNorm
        modules, in forward order. Empty for a network that cannot be traced.
    """
    try:
        graph = trace(model)
    except NotApplicableError:
        return ()
    modules = dict(model.named_modules())
    branches = (_branch(node, modules) for node in graph.nodes if _calls(node, _SUMS))
    return tuple(branch for branch in branches if branch)


def _branch(summed: fx.Node, modules: Mapping[str, nn.Module]) -> tuple[str, ...]:
    """The layers of the branch that ends in this sum; none if there is no such branch."""
    for shortcut, end in _addends(summed, modules):
        inner = _between(shortcut, end)
        layers = [str(node.target) for node in inner if _holds_weights(node, modules)]
        if (
            all(isinstance(modules[name], _REMOVABLE) for name in layers)
            and _is_private(inner, layers, summed)
            and _is_zero(end, inner, modules)
        ):
            return tuple(node.target for node in summed.graph.nodes if node.target in layers)
    return ()


def _addends(
    summed: fx.Node, modules: Mapping[str, nn.Module]
) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Either addend as the shortcut, and the other one as the end of the branch."""
    addends = [value for value in summed.args if isinstance(value, fx.Node)]
    for shortcut, end in itertools.permutations(addends, 2):
        yield _past_identities(shortcut, modules), end


def _past_identities(node: fx.Node, modules: Mapping[str, nn.Module]) -> fx.Node:
    while _calls_module(node) and all(
        isinstance(part, nn.Identity | nn.Sequential)
        for part in modules[str(node.target)].modules()
    ):
        node = node.all_input_nodes[0]
    return node


def _between(start: fx.Node, end: fx.Node) -> set[fx.Node]:
    """The nodes on all ways from `start` to `end`; none if `end` reads anything else as well."""
    found: set[fx.Node] = set()
    pending = [end]
    while pending:
        node = pending.pop()
        if node is start or node in found:
            continue
        if node.op in ("placeholder", "get_attr"):
            return set()
        found.add(node)
        pending += node.all_input_nodes
    return found


def _is_private(inner: set[fx.Node], layers: list[str], summed: fx.Node) -> bool:
    """Whether the sum alone reads the branch, and no layer of it is called elsewhere too."""
    readers = {reader for node in inner for reader in node.users}
    calls = [node.target for node in summed.graph.nodes if node.target in layers]
    return readers <= inner | {summed} and len(calls) == len(set(layers))


def _is_zero(node: fx.Node, inner: set[fx.Node], modules: Mapping[str, nn.Module]) -> bool:
    """Whether a node of the branch gives zeros once all its layers do."""
    if node not in inner:
        return False
    zeros = (_is_zero(read, inner, modules) for read in node.all_input_nodes)
    if _calls_module(node):
        module = modules[str(node.target)]
        return isinstance(module, _REMOVABLE) or (_keeps_zero(module) and all(zeros))
    if _calls(node, _PRODUCTS):
        return any(zeros)
    return _calls(node, _SUMS | _RECTIFIERS) and all(zeros)


def _keeps_zero(module: nn.Module) -> bool:
    """Whether a module without weights maps zeros to zeros, asked of the module itself."""
    try:
        answer = copy.deepcopy(module).eval()(torch.zeros(1, 1, 8, 8))
    except (RuntimeError, TypeError, ValueError, IndexError):
        return False
    return isinstance(answer, torch.Tensor) and not answer.any()


def _holds_weights(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    return _calls_module(node) and any(True for _ in modules[str(node.target)].parameters())


def _calls_module(node: fx.Node) -> bool:
    return bool(node.op == "call_module")


def _calls(node: fx.Node, targets: set[object]) -> bool:
    return node.op in ("call_function", "call_method") and node.target in targets

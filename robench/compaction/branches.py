"""Removal of constant branches: a branch is replaced by the constant that it computes.

A residual branch whose last convolution is zero adds the same constant for every input. The same
holds for every branch of a sum if all channels of its output are constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.compaction.constants import FIXED, UNIFORM, constancy, is_uniform
from robench.compaction.graph_edits import Edit, apply_edits, free_name
from robench.compaction.spatial import extents
from robench.graph.axes import MAPS
from robench.graph.trace import Traced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, fx

    from robench.compaction.pruning_plan import Policy

__all__ = ["Dropped", "drop_constant_branches"]


@dataclass(frozen=True)
class Dropped:
    """A removed branch.

    Attributes:
        edit: the change of the graph.
        constant: [1, C, …], the constant that replaces it, or ``None`` if it is zero.
        at_one_size: whether the constant would differ at other image sizes.
    """

    edit: Edit
    constant: Tensor | None
    at_one_size: bool


def drop_constant_branches(
    module: fx.GraphModule, example: Tensor, policy: Policy
) -> list[Dropped]:
    """Replace every constant branch of a sum by its constant, in place.

    Args:
        module: changed in place; float64.
        example: one input.
        policy: with ``bias-map`` the constant may also vary over the pixels.

    Returns:
        The removed branches, in order.
    """
    done: list[Dropped] = []
    while True:
        found = _Search(Traced(module, example), policy).next()
        if found is None:
            return done
        stored = {} if found.constant is None else {found.edit.buffer: found.constant}
        apply_edits(module, [found.edit], stored)
        done.append(found)


class _Search:
    """Finds the next branch to remove."""

    def __init__(self, traced: Traced, policy: Policy) -> None:
        self._traced, self._policy = traced, policy
        self._always = constancy(traced)
        self._here = constancy(traced, one_size=True) if policy.one_size else self._always
        self._extents = extents(traced)

    def next(self) -> Dropped | None:
        for node in self._traced.nodes:
            # Stored constants have no recorded axis, so their channels must be in dimension 1.
            if self._traced.kinds[node] == "sum" and self._traced.axes[node] == MAPS:
                sides = _branch_and_other(self._traced, node, self._here)
                found = None if sides is None else self._dropped(node, *sides)
                if found is not None:
                    return found
        return None

    def _dropped(self, node: fx.Node, branch: fx.Node, other: fx.Node) -> Dropped | None:
        value, given = self._traced.values[branch], self._traced.values[node]
        is_even = bool((self._here[branch] == UNIFORM).all())
        if not is_even and not self._policy.leaves_maps:
            return None
        # The other side must not be broadcast to the shape of the removed one.
        is_spread_always = self._extents[other] == self._extents[node]
        if not is_spread_always and not self._policy.one_size:
            return None
        if self._traced.values[other].shape != given.shape:
            return None
        is_first = branch is self._traced.reads(node)[0]
        at_one_size = not (is_spread_always and bool((self._always[branch] == UNIFORM).all()))
        if not bool(value.any()) and not (is_first and "sub" in _called(node)):
            return Dropped(Edit("drop", node.name, other.name), None, at_one_size)
        if is_even or bool(is_uniform(value).all()):
            even = value.reshape(*value.shape[:2], -1).mean(2)
            value = even.view(*even.shape, *(1 for _ in value.shape[2:]))
        buffer = free_name(self._traced.module, "constant")
        edit = Edit("constant", node.name, branch.name, buffer)
        return Dropped(edit, value.clone(), at_one_size)


def _branch_and_other(
    traced: Traced, node: fx.Node, level: Mapping[fx.Node, Tensor]
) -> tuple[fx.Node, fx.Node] | None:
    """The constant operand of a sum and the varying one; `None` if compaction made the former."""
    first, second = traced.reads(node)
    fixed = [bool((level[read] >= FIXED).all()) for read in (first, second)]
    if fixed[0] == fixed[1]:
        return None
    branch, other = (first, second) if fixed[0] else (second, first)
    return None if traced.kinds[branch] == "constant" else (branch, other)


def _called(node: fx.Node) -> str:
    """The name of the function or method that a step calls."""
    return str(getattr(node.target, "__name__", node.target))

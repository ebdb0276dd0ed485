"""Branches that compute a constant: they go whole, and the constant stays.

A residual branch whose last convolution is zero adds the same to every input. So it is with every
branch, however it died, once all the channels that it ends in are constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.compaction.constants import constant_channels, is_uniform
from robench.compaction.edits import Edit, apply_edits, free_name
from robench.compaction.trace import Traced

if TYPE_CHECKING:
    from torch import Tensor, fx

    from robench.compaction.keep import Constants

__all__ = ["drop_constant_branches"]


def drop_constant_branches(
    module: fx.GraphModule, example: Tensor, constants: Constants
) -> list[Edit]:
    """Replace every constant branch of a sum by its constant, in place.

    Args:
        module: changed in place; float64.
        example: one input.
        constants: with ``bias-map`` a branch may also leave a map behind.

    Returns:
        What was done, in order.
    """
    done: list[Edit] = []
    while True:
        found = _next(Traced(module, example), constants)
        if found is None:
            return done
        edit, constant = found
        apply_edits(module, [edit], {} if constant is None else {edit.buffer: constant})
        done.append(edit)


def _next(traced: Traced, constants: Constants) -> tuple[Edit, Tensor | None] | None:
    constant = constant_channels(traced)
    for node in traced.nodes:
        if traced.kinds[node] != "sum":
            continue
        first, second = traced.reads(node)
        fixed = [bool(constant[read].all()) for read in (first, second)]
        if fixed == [True, False]:
            branch, other = first, second
        elif fixed == [False, True]:
            branch, other = second, first
        else:
            continue
        if traced.kinds[branch] == "constant":
            continue
        value = traced.values[branch]
        if not bool(value.any()) and (branch is second or "sub" not in str(node.target)):
            return Edit("drop", node.name, other.name), None
        if bool(is_uniform(value).all()):
            value = value.reshape(*value.shape[:2], -1).mean(2)
            value = value.view(*value.shape, *(1 for _ in traced.values[branch].shape[2:]))
        elif constants != "bias-map":
            continue
        buffer = free_name(traced.module, "constant")
        return Edit("constant", node.name, branch.name, buffer), value.clone()
    return None

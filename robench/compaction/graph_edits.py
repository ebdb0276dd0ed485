"""Edits of a network's graph, which are saved with a compacted network and applied on loading.

Most compactions only resize layers and need no edit. Edits remove a constant branch, add a bias map
where a padded convolution sees the border of a constant, select the inputs that are read, change
the sizes of paddings and splits, and refuse other image sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import fx

from robench.graph.sizes import OneSize

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

__all__ = ["Edit", "apply_edits", "free_name"]


@dataclass(frozen=True)
class Edit:
    """One change of a graph.

    Attributes:
        kind: ``drop``: replace `step` by its input `operand`. ``constant``: replace the input
            `operand` of `step` by a stored tensor. ``add``: add a stored tensor to the output of
            `step`. ``select``: `step` reads a selection of the channels of `operand`. ``pad``:
            change the amounts of a padding. ``split``: change the sizes of a split. ``one-size``:
            refuse other sizes of `step`, the network's input.
        step: name of the step in the graph.
        operand: name of an input of `step`; for ``one-size``, name of the checking module.
        buffer: name of the stored tensor, if there is one.
        padding: amounts, last dimension first, for ``pad``.
        sizes: channels of each piece for ``split``; shape of one input for ``one-size``.
        axis: dimension of the channels for ``select`` and ``split``.
    """

    kind: Literal["drop", "constant", "add", "select", "pad", "split", "one-size"]
    step: str
    operand: str = ""
    buffer: str = ""
    padding: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    axis: int = 1


def apply_edits(
    module: fx.GraphModule, edits: list[Edit], buffers: dict[str, Tensor]
) -> fx.GraphModule:
    """Apply edits to a graph in place, and remove unused steps and modules.

    Args:
        module: changed in place.
        edits: in the order in which they were found.
        buffers: the stored tensors by name.

    Returns:
        The same module.

    Raises:
        KeyError: a step or buffer is missing.
    """
    for edit in edits:
        steps = {node.name: node for node in module.graph.nodes}
        if edit.buffer:
            module.register_buffer(edit.buffer, buffers[edit.buffer])
        if edit.kind == "one-size":
            _allow_one_size(module, steps[edit.step], edit)
        else:
            _apply(module.graph, edit, steps[edit.step], steps.get(edit.operand))
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def free_name(module: fx.GraphModule, prefix: str, taken: Collection[str] = ()) -> str:
    """A name that is free in the module, for a tensor or a submodule."""
    number = 0
    while hasattr(module, f"{prefix}_{number}") or f"{prefix}_{number}" in taken:
        number += 1
    return f"{prefix}_{number}"


def _allow_one_size(module: fx.GraphModule, step: fx.Node, edit: Edit) -> None:
    module.add_submodule(edit.operand, OneSize(edit.sizes).eval())
    with module.graph.inserting_after(step):
        checked = module.graph.call_module(edit.operand, (step,))
    step.replace_all_uses_with(checked, delete_user_cb=lambda user: user is not checked)


def _apply(graph: fx.Graph, edit: Edit, step: fx.Node, operand: fx.Node | None) -> None:
    if edit.kind == "add":
        with graph.inserting_after(step):
            stored = graph.get_attr(edit.buffer)
        with graph.inserting_after(stored):
            total = graph.call_function(torch.add, (step, stored))
        step.replace_all_uses_with(total, delete_user_cb=lambda user: user is not total)
        return
    if edit.kind == "pad":
        step.args, step.kwargs = (step.all_input_nodes[0], edit.padding), {}
        return
    if edit.kind == "split":
        step.op, step.target = "call_function", torch.split
        step.args, step.kwargs = (step.all_input_nodes[0], list(edit.sizes), edit.axis), {}
        return
    if operand is None:
        raise KeyError(edit.operand)
    if edit.kind == "drop":
        step.replace_all_uses_with(operand)
        graph.erase_node(step)
        return
    with graph.inserting_before(step):
        stored = graph.get_attr(edit.buffer)
        if edit.kind == "constant":
            step.replace_input_with(operand, stored)
        else:
            chosen = graph.call_function(torch.index_select, (operand, edit.axis, stored))
            step.replace_input_with(operand, chosen)

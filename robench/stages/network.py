"""The network of a cell: built as the cell says, with the weights of its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.errors import StoreError
from robench.models import build
from robench.spec import Cell
from robench.stages.base import Context

if TYPE_CHECKING:
    from robench.models.base import Network
    from robench.training.checkpoint import Checkpoint

__all__ = ["fresh_network", "parent_checkpoint", "trained_network"]


def fresh_network(cell: Cell, context: Context) -> Network:
    """The cell's network with its initial weights, the same for all methods of one seed."""
    data = context.data
    network = build(
        cell.model.name,
        input_shape=tuple(data.train.images.shape[1:]),
        classes=data.outputs,
        mean=data.mean,
        std=data.std,
        params=cell.model.params,
        seed=cell.seed_for("init"),
    )
    return network.to(context.device)


def trained_network(cell: Cell, context: Context) -> Network:
    """The network that an evaluation looks at, in evaluation mode, zeros in place."""
    network = fresh_network(cell, context)
    parent_checkpoint(context).apply_to(network)
    return network.eval()


def parent_checkpoint(context: Context) -> Checkpoint:
    """The checkpoint of the cell's parent.

    Raises:
        StoreError: the cell has no parent.
    """
    if context.parent is None:
        raise StoreError("this cell hangs off no checkpoint", hint="this is a defect of the plan")
    return context.parent()

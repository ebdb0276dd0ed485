"""Carrying merges out: the readers take over, and the units go silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch.optim import Optimizer

    from robench.methods.noiseout.heads import NoiseHeads
    from robench.methods.noiseout.links import Link
    from robench.methods.noiseout.plan import Merge

__all__ = ["carry_out", "fold"]


def carry_out(
    links: Sequence[Link],
    merges: Sequence[Merge],
    optimiser: Optimizer,
    heads: NoiseHeads | None = None,
) -> None:
    """Let units go, in place; all tensors keep their shapes.

    What the units lead to and what leads to them becomes zero: their weights, biases and
    BatchNorm, and the momentum of all these. What a zeroed unit still answers, such as a sigmoid's
    one half, nobody reads any more.

    Args:
        links: where the merges take place.
        merges: what goes, in order.
        optimiser: whose momentum is cleared.
        heads: noise outputs, which read the last link too.
    """
    with torch.no_grad():
        for place, link in enumerate(links):
            own = [merge for merge in merges if merge.place == place]
            head = heads if link.reader.is_output else None
            if not own:
                continue
            link.add_constants(fold(link.by_unit(link.reader.module.weight), own))
            if head is not None:
                head.bias.add_(fold(link.by_unit(head.weight), own))
            for parameter, by_unit in _parts(link, head):
                for tensor in (parameter, *_kept_by(optimiser, parameter)):
                    by_unit(tensor)[[merge.unit for merge in own]] = 0.0


def fold(by_unit: Tensor, merges: Sequence[Merge]) -> Tensor:
    """Have a reader's weight do without some units, in place.

    Args:
        by_unit: [outputs, units, weights for each]; zero for the units that go in the end.
        merges: in this order.

    Returns:
        What has to be added to each output, [outputs].
    """
    constants = by_unit.new_zeros(len(by_unit))
    for merge in merges:
        going = by_unit[:, merge.unit]
        if merge.into is not None:
            by_unit[:, merge.into].add_(going, alpha=merge.slope)
        constants.add_(going.sum(1), alpha=merge.intercept)
        going.zero_()
    return constants


def _parts(
    link: Link, heads: NoiseHeads | None
) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
    """The parameters in which the units of a link have a part, and how to see them unit by unit."""
    norm = link.layer.batch_norm
    own = [link.layer.module.weight, link.layer.module.bias]
    for parameter in [*own, norm.weight, norm.bias] if norm is not None else own:
        if parameter is not None:  # a BatchNorm behind a flatten has several values a unit
            yield parameter, lambda tensor: tensor.view(link.layer.units, -1)
    for reader in (link.reader.module, heads):
        if reader is not None:
            yield reader.weight, lambda tensor: link.by_unit(tensor).movedim(1, 0)


def _kept_by(optimiser: Optimizer, parameter: Tensor) -> list[Tensor]:
    """Momentum and the like: what an optimiser keeps of each value of a parameter."""
    kept = optimiser.state.get(parameter, {}).values()
    return [v for v in kept if isinstance(v, Tensor) and v.shape == parameter.shape]

"""RigL: sparse from the first step on, with connections that move."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field

from robench.errors import LevelNotReachedError
from robench.methods.base import Method, TrainState
from robench.methods.masks import (
    apportion,
    count_zeros,
    masks_by_count,
    random_scores,
    tolerance,
    zeros_at,
)
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["RigL", "drop_share", "erdos_renyi_kernel", "move_connections"]


class RigL(Method):
    """RigL ("rigging the lottery"): drop the smallest weights, grow where gradients are largest.

    Evci et al. 2020 (arXiv 1911.11134). The masks are random at first, and each layer keeps as many
    weights as it began with. Every so many steps, instead of a step of the optimiser, a share of
    each layer's connections, cosine-annealed to zero, is dropped by magnitude, and as many are
    grown among all that are absent then, those just dropped included: a connection that is dropped
    and grown at once keeps its weight, others begin at zero and without momentum.
    """

    name = "rigl"
    starts_from = "init"

    class Params(Frozen):
        """How dense each layer is, and how connections move."""

        densities: Literal["erk", "uniform"] = "erk"
        """``erk`` (Erdős-Rényi-Kernel): in proportion to the sum over the product of a weight's
        dimensions; ``uniform``: alike in all layers, the first, which the authors keep dense,
        included."""
        interval_steps: Annotated[int, Field(ge=1)] = 50
        """ΔT, optimiser steps from one update of the masks to the next. The authors' 100 are for
        budgets of tens of thousands; the default was the best of 10, 20, 50 and 100 on the
        validation split of MNIST, with LeNet-300-100 at the level 0.98 after 1,000 steps."""
        drop_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
        """α, the share of each layer's connections that the first update drops."""
        end: Annotated[float, Field(gt=0, le=1)] = 0.75
        """T_end, the share of the budget after which connections stay."""

    params: Params

    def prepare(self, state: TrainState) -> None:
        """Draw the masks; the loop holds them."""
        weights = state.prunable
        sizes = [weight.numel() for weight in weights.values()]
        count = zeros_at(state.level, sum(sizes))
        if self.params.densities == "uniform":
            shares = [state.level * size for size in sizes]
        else:
            shapes = [tuple(weight.shape) for weight in weights.values()]
            kept = erdos_renyi_kernel(shapes, sum(sizes) - count)
            shares = [size - part for size, part in zip(sizes, kept, strict=True)]
        scores = random_scores(weights, state.generator)
        state.masks = masks_by_count(scores, apportion(shares, sizes, count))

    def after_backward(self, state: TrainState) -> None:
        """Every so many steps: move connections, and leave out the step."""
        last = self.params.end * state.budget
        is_due = state.step > 0 and state.step % self.params.interval_steps == 0
        # New connections need a step to leave zero.
        if not is_due or state.step >= last or state.step + 1 == state.budget:
            return
        share = drop_share(self.params.drop_share, state.step / last)
        for name, weight in state.prunable.items():
            if weight.grad is None:
                continue
            before = state.masks[name]
            after = move_connections(before, weight.detach(), weight.grad, share)
            _forget_momentum(state.optimiser, weight, after & ~before)
            state.masks[name] = after
        state.optimiser.zero_grad()  # without a gradient there is no step

    def finish(self, state: TrainState) -> None:
        """Make sure that the connections are more than places.

        Raises:
            LevelNotReachedError: so many are still zero that the level is missed.
        """
        zeros, total = count_zeros(state.prunable), sum(w.numel() for w in state.prunable.values())
        unused = zeros - zeros_at(state.level, total)
        if unused > tolerance(state.prunable):
            raise LevelNotReachedError(
                f"{unused} connections were grown to units that then fell silent, and are still "
                "zero",
                achieved=zeros / total,
                hint="lower the learning rate or drop_share, or take a wider network",
            )


def drop_share(initial: float, progress: float) -> float:
    """Share of the connections that an update drops: α / 2 (1 + cos(π t / T_end)).

    Args:
        initial: α.
        progress: t / T_end, in [0, 1].
    """
    return initial / 2 * (1 + math.cos(math.pi * progress))


def move_connections(mask: Tensor, weight: Tensor, gradient: Tensor, share: float) -> Tensor:
    """The mask after one update; it has as many connections as before.

    Args:
        mask: true at the connections of one layer, of any shape.
        weight: of the same shape, zero where there is no connection.
        gradient: of the loss by every weight, whether there is a connection or not.
        share: of the connections that are dropped, rounded down.
    """
    after = mask.flatten().clone()
    connections = after.nonzero().squeeze(1)
    moved = int(share * len(connections))
    magnitudes = weight.flatten()[connections].abs()
    dropped = connections[magnitudes.topk(moved, largest=False, sorted=False).indices]
    after[dropped] = False
    scores = gradient.flatten().abs()
    # A new connection without a gradient would stay at zero: rather keep the one that there is.
    scores[dropped] = scores[dropped].clamp(min=torch.finfo(scores.dtype).tiny)
    scores[after] = -1.0
    after[scores.topk(moved, sorted=False).indices] = True
    return after.view(mask.shape)


def erdos_renyi_kernel(shapes: Sequence[tuple[int, ...]], kept: int) -> list[float]:
    """How many weights each layer keeps, in fractions of a weight.

    A layer of n weights keeps ε times the sum of its dimensions (units, inputs, height and width of
    the kernel), at most n, with the one ε that makes the sum over layers right.

    Args:
        shapes: of the weights.
        kept: how many weights all layers together keep, at most all.
    """
    sizes = [math.prod(shape) for shape in shapes]
    dense: set[int] = set()
    while True:
        sparse = [index for index in range(len(shapes)) if index not in dense]
        if not sparse:
            return [float(size) for size in sizes]
        left = kept - sum(sizes[index] for index in dense)
        epsilon = left / sum(sum(shapes[index]) for index in sparse)
        # What a full layer cannot take goes to the others, which may fill them too.
        full = {index for index in sparse if epsilon * sum(shapes[index]) > sizes[index]}
        if not full:
            parts = enumerate(zip(shapes, sizes, strict=True))
            return [size if i in dense else epsilon * sum(shape) for i, (shape, size) in parts]
        dense |= full


def _forget_momentum(
    optimiser: torch.optim.Optimizer, weight: torch.nn.Parameter, grown: Tensor
) -> None:
    """Zero the running mean of the gradient; its running square, a unit of length, stays."""
    for key in ("momentum_buffer", "exp_avg"):
        mean = optimiser.state[weight].get(key)
        if mean is not None:
            mean.masked_fill_(grown, 0.0)

"""Structured sparsity learning (SSL): group lasso on filters, channels and neurons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from robench.errors import NotApplicableError
from robench.methods.base import Method, TrainState
from robench.methods.groups import Grouping
from robench.methods.masks import zeros_at
from robench.methods.removal import ChainGroups
from robench.methods.silence import Silence
from robench.models.chain import Layer, chain
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["StructuredSparsity"]

SMALLEST_WEIGHT = 1e-4
"""Below this the reference implementation sets a weight to zero after each step."""


class StructuredSparsity(Method):
    """Structured sparsity learning: group lasso on whole filters, channels and neurons.

    Wen et al. 2016 (arXiv 1608.03665). The penalty is λ_g times the sum of the Euclidean norms of
    all rows (filters, neurons; not those of the output layer) and all columns (input channels or
    neurons, or kernel positions), added to the loss of the dense network for the first part of the
    budget. Then the weakest groups go, as many as the level asks for, with all that they strand:
    the biases and BatchNorm of a filter that is gone, and what reads it. The rest is fine-tuned
    without penalty. The first part ends early where the penalty alone has reached the level.
    The defaults are those of the authors where they give one; λ_g is of the size that they use for
    small networks.
    """

    name = "ssl"
    structure = "filter"
    starts_from = "dense"

    class Params(Frozen):
        """The penalty, how it is applied, and for how long."""

        lambda_g: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3e-3
        """Weight of the penalty, λ_g in the paper. There is no zero: without it nothing happens."""
        columns: Literal["channel", "shape"] = "channel"
        """Columns of a convolution: input channels, or single kernel positions in each."""
        update: Literal["subgrad", "prox"] = "subgrad"
        """``subgrad``, as the authors do: add the penalty's gradient, then zero what is below 1e-4.
        ``prox``: shorten each group after the step, which gives exact zeros."""
        scale: Literal["none", "sqrt"] = "none"
        """``sqrt`` weighs each group by the square root of its size over the mean size."""
        ssl_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
        """Share of the budget with the penalty; the rest is fine-tuning."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._layers: list[Layer] = []
        self._groupings: list[tuple[Grouping, float]] = []
        self._silence = Silence()
        self._is_shrinking = True

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """Chains of layers only: elsewhere a filter cannot be removed alone."""
        try:
            chain(model)
        except NotApplicableError as error:
            return str(error)
        return True

    def prepare(self, state: TrainState) -> None:
        """Find the groups, and make sure that the level leaves the chain whole."""
        self._layers = chain(state.model)
        groups = self._groups(state)
        groups.check_reachable(state.level)
        groupings = groups.removable
        mean_size = sum(g.size * g.count for g in groupings) / sum(g.count for g in groupings)
        for grouping in groupings:
            scale = math.sqrt(grouping.size / mean_size) if self.params.scale == "sqrt" else 1.0
            self._groupings.append((grouping, self.params.lambda_g * scale))

    def after_backward(self, _state: TrainState) -> None:
        """Add the subgradient of the penalty, zero for groups that are zero."""
        if self._is_shrinking and self.params.update == "subgrad":
            for grouping, strength in self._groupings:
                if grouping.weight.grad is not None:
                    grouping.add_gradient(grouping.weight.grad, strength)

    def after_step(self, state: TrainState) -> None:
        """Zero what the penalty has made small; later keep removed filters silent."""
        if self._is_shrinking:
            is_over = state.step >= self.params.ssl_share * state.budget
            if not self._shrink(state) or is_over:
                self._snap(state)
        self._silence.apply()

    def _groups(self, state: TrainState) -> ChainGroups:
        return ChainGroups(self._layers, state.prunable, self.params.columns)

    def _shrink(self, state: TrainState) -> bool:
        """Whether there is still something to shrink; the step that would go too far is undone."""
        before = [weight.detach().clone() for weight in state.prunable.values()]
        with torch.no_grad():
            if self.params.update == "prox":
                # Momentum lengthens every step of the loss by 1 / (1 - momentum), and so here.
                reach = state.learning_rate / (1 - state.momentum)
                for grouping, strength in self._groupings:
                    grouping.shrink(reach * strength)
            else:
                for weight in state.prunable.values():
                    weight.copy_(F.hardshrink(weight, SMALLEST_WEIGHT))
            # Several times faster than count_nonzero, and exact as long as the sum is in float64.
            alive = [
                int(weight.sign().abs_().sum(dtype=torch.float64))
                for weight in state.prunable.values()
            ]
            total = sum(weight.numel() for weight in before)
            is_within = total - sum(alive) <= zeros_at(state.level, total) and all(alive)
            if not is_within:
                for weight, kept in zip(state.prunable.values(), before, strict=True):
                    weight.copy_(kept)
        return is_within

    def _snap(self, state: TrainState) -> None:
        """Choose what goes, for good, and what must be silent for that."""
        groups = self._groups(state)
        removal = groups.remove(state.level)
        state.masks = groups.masks(removal)
        self._is_shrinking = False
        for part, rows in zip(groups.parts, removal.rows, strict=True):
            if part.prunable:
                self._silence.add(part.layer, rows)

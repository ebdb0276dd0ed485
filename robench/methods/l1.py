"""The lasso: one penalty on the magnitude of all weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from robench.methods.base import Method, TrainState
from robench.methods.masks import magnitude_masks
from robench.methods.tools.lasso import (
    PenaltyScope,
    gradient_of,
    negligible_share,
    penalised,
    reach,
    why_not,
)
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from torch import nn

    from robench.data.base import Data

__all__ = ["L1"]


class L1(Method):
    """The lasso: train with the sum of magnitudes as a penalty, then drop the smallest weights.

    Tibshirani 1996. The loss becomes L + ξ Σ |w|, with one ξ for all: what HALO is while its
    coefficients stay at 1, and on the same weights and biases. Trained from scratch, once for all
    levels; at each the smallest weights go, as many as it asks for, without fine-tuning. The
    default strength was chosen on the validation split of MNIST, with LeNet-300-100 and 6,480
    steps, for the best accuracy over levels from 0.9 to 0.99.
    """

    name = "l1"
    starts_from = "init"
    shares_training = True

    class Params(Frozen):
        """The penalty, and how it is applied."""

        strength: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3.5e-4
        """ξ, the weight of the penalty. There is no zero: without it nothing happens."""
        update: Literal["subgrad", "prox"] = "subgrad"
        """``subgrad``: add ξ sign(w) to the gradient; dead weights then chatter about zero.
        ``prox``: after each step move every weight towards zero by lr ξ / (1 - momentum), and no
        further, which gives exact zeros. Both come to rest at the same weights."""
        scope: PenaltyScope = "all"
        """``all``: weights and biases of convolutions and Linear layers; ``conv``: those of
        convolutions alone. Either way the level counts all prunable weights."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._weights: list[nn.Parameter] = []

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """With ``scope: conv`` only networks that have a convolution."""
        return why_not(model, self.params.scope)

    def prepare(self, state: TrainState) -> None:
        """Find what is penalised."""
        self._weights = list(penalised(state.model, self.params.scope).values())

    def after_backward(self, _state: TrainState) -> None:
        """With ``update: subgrad`` add the penalty's gradient, zero where a weight is."""
        if self.params.update == "subgrad":
            with torch.no_grad():
                for weight in self._weights:
                    gradient_of(weight).add_(weight.sign(), alpha=self.params.strength)

    def after_step(self, state: TrainState) -> None:
        """With ``update: prox`` move the weights towards zero."""
        if self.params.update == "prox":
            threshold = reach(state) * self.params.strength
            with torch.no_grad():
                for weight in self._weights:
                    weight.copy_(F.softshrink(weight, threshold))

    def finish(self, state: TrainState) -> None:
        """Zero the smallest weights of the network; nothing is trained after that."""
        if self.params.update == "subgrad":  # the proximal step leaves exact zeros to count
            state.native = negligible_share(state.prunable)
        state.masks = magnitude_masks(state.prunable, state.level)

"""SynFlow: pruning before training, without data, by synaptic flow.

Tanaka, Kunin, Yamins, Ganguli 2020, *Pruning neural networks without any data by iteratively
conserving synaptic flow* (arXiv 2006.05467). Of a network whose parameters are replaced by their
absolute values, let R be the sum of its outputs for an input of ones. The score of a weight is
``|dR/dw * w|``. Scores are taken anew in each of `rounds` rounds, in which the share of weights
that is left falls exponentially to the level that was asked for: that keeps every layer alive.
"""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from robench.methods.base import Method, TrainState
from robench.methods.masks import masks_by_score
from robench.spec.base import Frozen

__all__ = ["SynFlow"]


class SynFlow(Method):
    """Prune at initialisation by synaptic flow, then train (Tanaka et al. 2020)."""

    name = "synflow"
    starts_from = "init"

    class Params(Frozen):
        """How gradually weights go."""

        rounds: int = Field(100, ge=1)
        """Rounds of scoring, one gradient each; the paper has 100. A run has no more of them than a
        quarter of its steps, so that they do not outgrow the budget that all methods share."""

    params: Params

    def prepare(self, state: TrainState) -> None:
        """Choose the masks; the loop holds them from here on."""
        rounds = max(1, min(self.params.rounds, state.budget // 4))
        images, _ = next(state.train_batches())
        ones = torch.ones_like(images[:1], dtype=torch.float64)
        for number in range(1, rounds + 1):
            scores = synaptic_flow(state.model, state.prunable, ones)
            # Weights of earlier rounds have score 0: they go first, and stay out.
            level = 1 - (1 - state.level) ** (number / rounds)
            state.masks = masks_by_score(scores, level)
            state.masks.apply(state.prunable)


def synaptic_flow(
    model: nn.Module, prunable: Mapping[str, nn.Parameter], ones: Tensor
) -> dict[str, Tensor]:
    """Score of each prunable weight, in double precision: ``|dR/dw * w|``.

    Args:
        model: left as it was.
        prunable: name -> weight of the model.
        ones: an input of ones, float64 [1, ...].
    """
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    was_training, dtype = model.training, next(model.parameters()).dtype
    try:
        model.eval().double()  # products over many layers leave the range of single precision
        with torch.no_grad():
            for value in model.state_dict().values():
                if value.is_floating_point():
                    value.abs_()
        flow = model(ones).sum()
        weights = list(prunable.values())
        gradients = torch.autograd.grad(flow, weights, allow_unused=True)
        return {
            name: torch.zeros_like(weight) if slope is None else (slope * weight).abs().detach()
            for (name, weight), slope in zip(prunable.items(), gradients, strict=True)
        }
    finally:
        model.to(dtype)
        model.load_state_dict(before)
        model.train(was_training)

"""SNIP: pruning before training, by how much the loss hangs on each connection."""

from __future__ import annotations

import itertools
from typing import Annotated

import torch
from pydantic import Field

from robench.data.objective import objective
from robench.methods.base import Method, TrainState
from robench.methods.masks import masks_by_score
from robench.spec.base import Frozen

__all__ = ["Snip"]


class Snip(Method):
    """Zero the weights on which the loss hangs least at initialisation, then train the rest.

    Lee, Ajanthan and Torr 2019 (arXiv 1810.02340): a connection of weight w is as sensitive as
    |w · ∂L/∂w| on a few batches, before the first step.
    """

    name = "snip"
    starts_from = "init"

    class Params(Frozen):
        """What the sensitivity is measured on."""

        batches: Annotated[int, Field(ge=1, le=100)] = 1
        """Training batches whose sensitivities are added up; fewer where there are not so many."""

    params: Params

    def prepare(self, state: TrainState) -> None:
        """Measure the sensitivities and keep the largest; the loop holds the masks from then on."""
        weights = list(state.prunable.values())
        scores = [torch.zeros_like(weight) for weight in weights]
        for images, labels in itertools.islice(state.train_batches(), self.params.batches):
            loss = objective(state.model(images), labels)
            gradients = torch.autograd.grad(loss, weights)
            for score, weight, gradient in zip(scores, weights, gradients, strict=True):
                score.add_((weight.detach() * gradient).abs())
        state.masks = masks_by_score(dict(zip(state.prunable, scores, strict=True)), state.level)

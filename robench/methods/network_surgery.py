"""Dynamic network surgery: pruning that can be taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field

from robench.methods.base import Method, TrainState
from robench.methods.masks import Masks, masks_by_score
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LayerSurgery", "NetworkSurgery"]

PRUNING_FACTOR, SPLICING_FACTOR = 0.9, 1.1
"""a_k and b_k over the threshold that lies between them, as in the authors' code."""


class NetworkSurgery(Method):
    """Dynamic network surgery: hidden weights are trained on, and spliced in once they matter.

    Guo, Yao and Chen 2016 (arXiv 1608.04493); with it Guo et al. 2018 (arXiv 1810.09619) prune for
    robustness. The mask of layer k hides a weight whose magnitude falls to a_k, and shows it again
    above b_k; between the two nothing changes. As in the authors' code a_k and b_k are 0.9 and 1.1
    times max(μ_k + c σ_k, 0), where μ_k and σ_k are mean and standard deviation of the magnitudes
    in the dense network, and masks follow after each step with a probability that falls over time.
    The gradient by the masked weights moves the hidden ones too.

    The authors choose c by hand, layer by layer, and the level is what comes of it. Here c is one
    number for all layers, fitted to the level again and again: each weight changes sides at the c
    at which its magnitude meets a_k, or b_k where it is hidden, so that the c of rank ``level * N``
    reaches the level exactly. After the surgery masks stay, and hidden weights are forgotten.
    """

    name = "network-surgery"
    starts_from = "dense"

    class Params(Frozen):
        """How often masks change, and for how long."""

        surgery_share: Annotated[float, Field(gt=0, lt=1)] = 0.7
        """Share of the budget in which masks change; then they are frozen."""
        gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
        """γ: masks change after step t with probability (1 + γ t)^-power. The authors' value; at
        a high learning rate hidden weights stray far while masks stand still, and come back all at
        once."""
        power: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
        """See `gamma`; with 0 masks change after every step."""
        fit_interval_steps: Annotated[int, Field(ge=1)] = 25
        """Optimiser steps for which c stays as it is, at least."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._layers: dict[str, LayerSurgery] = {}
        self._shown_at_first = Masks()
        self._coefficient = 0.0
        self._fitted_at = 0

    def prepare(self, state: TrainState) -> None:
        """Hide the first weights of the dense network."""
        self._layers = {name: LayerSurgery.of(weight) for name, weight in state.prunable.items()}
        state.masks = Masks()  # the loop's would wipe out what is only hidden
        self._shown_at_first = self._fit(state)
        self._hide(state)

    def after_backward(self, state: TrainState) -> None:
        """Give the optimiser the hidden weights; the gradients are those at the masked ones."""
        with torch.no_grad():
            for name, layer in self._layers.items():
                state.prunable[name].copy_(layer.weights)

    def after_step(self, state: TrainState) -> None:
        """Hide weights again, mostly the same ones; in the end freeze the masks."""
        if not self._layers:
            return
        with torch.no_grad():
            for name, layer in self._layers.items():
                layer.weights.copy_(state.prunable[name])
        last = max(int(self.params.surgery_share * state.budget), 1)
        if state.step >= last:
            self._freeze(state)
            return
        probability = (1 + self.params.gamma * state.step) ** -self.params.power
        if float(torch.rand((), generator=state.generator)) < probability:
            if state.step - self._fitted_at >= self.params.fit_interval_steps:
                self._fit(state)
            else:
                for layer in self._layers.values():
                    layer.operate(self._coefficient)
        self._hide(state)

    def _hide(self, state: TrainState) -> None:
        with torch.no_grad():
            for name, layer in self._layers.items():
                state.prunable[name].mul_(layer.shown)

    def _fit(self, state: TrainState) -> Masks:
        """Choose c so that the level is met exactly, and operate by it."""
        critical = {name: layer.critical() for name, layer in self._layers.items()}
        masks = masks_by_score(critical, state.level)
        hidden = [critical[name].masked_fill(mask, -torch.inf) for name, mask in masks.items()]
        self._coefficient = max(float(values.max()) for values in hidden)
        self._fitted_at = state.step
        for name, layer in self._layers.items():
            layer.shown = masks[name].to(layer.weights)
        return masks

    def _freeze(self, state: TrainState) -> None:
        """Hand the masks over to the loop, and forget what is hidden."""
        state.masks = self._fit(state)
        before = self._shown_at_first
        spliced = sum(int((mask & ~before[name]).sum()) for name, mask in state.masks.items())
        state.notes["spliced"] = spliced
        self._layers.clear()


@dataclass(eq=False)
class LayerSurgery:
    """One layer: its weights, hidden ones too, and which of them are shown.

    What the network computes with is the product of the two.

    Attributes:
        weights: all weights of the layer, trained on whether they are shown or not.
        shown: 1 where a weight is shown and 0 where it is hidden, of the same shape and type:
            arithmetic on a CPU is several times faster with these than with booleans.
        mean: μ, mean magnitude in the dense network.
        deviation: σ, standard deviation of the magnitudes there; positive.
    """

    weights: Tensor
    shown: Tensor
    mean: float
    deviation: float

    @classmethod
    def of(cls, weight: Tensor) -> LayerSurgery:
        """A copy of a layer of the dense network, all of it shown."""
        weights = weight.detach().clone()
        magnitudes = weights.abs()
        mean, deviation = float(magnitudes.mean()), float(magnitudes.std(correction=0))
        # Magnitudes that are all the same have an order too.
        deviation = max(deviation, 1e-6 * mean, 1e-12)
        return cls(weights, torch.ones_like(weights), mean, deviation)

    def operate(self, coefficient: float) -> None:
        """Hide what has fallen to a_k, and show what has risen above b_k, by the thresholds of a c.

        Args:
            coefficient: c.
        """
        threshold = max(self.mean + coefficient * self.deviation, 0.0)
        torch.gt(self.weights.abs(), self._factors() * threshold, out=self.shown)

    def critical(self) -> Tensor:
        """The c from which on each weight is hidden: it solves f (μ + c σ) = |w|."""
        return self.weights.abs().div_(self._factors()).sub_(self.mean).div_(self.deviation)

    def _factors(self) -> Tensor:
        """What f a weight has: 0.9 where it is shown and 1.1 where it is hidden."""
        return SPLICING_FACTOR - (SPLICING_FACTOR - PRUNING_FACTOR) * self.shown

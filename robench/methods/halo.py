"""Hierarchical adaptive lasso (HALO)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from robench.methods.base import Method, TrainState
from robench.methods.masks import magnitude_masks
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from torch import Tensor

    from robench.data.base import Data

__all__ = ["Halo", "penalty", "penalty_gradients"]

Strength = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Halo(Method):
    """Hierarchical adaptive lasso: each weight learns how strongly it is penalised.

    Seto, Wells and Zhang 2021 (arXiv 2008.10183). Each penalised weight w has a coefficient λ of
    its own, trained beside it with the same learning rate, momentum and weight decay, and the loss
    becomes L + ξ Σ |w| / λ² + ψ Σ |λ|. Trained from scratch; at the end the smallest weights of the
    network go, as many as the level asks for, without fine-tuning. The defaults were chosen on the
    validation split of MNIST, with LeNet-300-100 and budgets of 200 to 6,000 steps.
    """

    name = "halo"
    starts_from = "init"

    class Params(Frozen):
        """The penalty, and what it is on."""

        xi: Strength = 5e-7
        """ξ, the weight of the penalty on the weights."""
        psi: Strength | None = None
        """ψ, the weight of the penalty on the coefficients, which lets them shrink. `None` fits it
        to the budget: a coefficient that nothing opposes is at zero after half of the way that the
        schedule allows."""
        lambda_init: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
        """λ of every weight before the first step."""
        lambda_floor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-2
        """λ never goes below: the penalty's gradients grow without bound as it vanishes, and a
        short run's large steps throw λ far off."""
        scope: Literal["conv", "all"] = "all"
        """``all``: weights and biases of convolutions and Linear layers; ``conv``: those of
        convolutions alone. Either way the level counts all prunable weights."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        self._psi = 0.0

    @property
    def coefficients(self) -> list[Tensor]:
        """λ of every penalised weight, one tensor a parameter, in the order of the layers."""
        return [coefficient.detach() for _, coefficient in self._pairs]

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """With ``scope: conv`` only networks that have a convolution."""
        if not self._penalised(model):
            return "there is no convolution to penalise; take `scope: all`"
        return True

    def prepare(self, state: TrainState) -> None:
        """Give each penalised weight its coefficient."""
        self._psi = self._fitted_psi(state) if self.params.psi is None else self.params.psi
        for parameter in self._penalised(state.model):
            start = torch.full_like(parameter, self.params.lambda_init)
            self._pairs.append((parameter, nn.Parameter(start)))
        state.add_parameters(coefficient for _, coefficient in self._pairs)

    def after_backward(self, _state: TrainState) -> None:
        """Add the gradients of the penalty, in closed form."""
        for weight, coefficient in self._pairs:
            by_weight, by_coefficient = penalty_gradients(
                weight.detach(), coefficient.detach(), xi=self.params.xi, psi=self._psi
            )
            weight.grad = by_weight if weight.grad is None else weight.grad.add_(by_weight)
            coefficient.grad = by_coefficient

    def after_step(self, _state: TrainState) -> None:
        """Keep the coefficients positive; the penalty is the same for either sign."""
        with torch.no_grad():
            for _, coefficient in self._pairs:
                coefficient.abs_().clamp_(min=self.params.lambda_floor)

    def finish(self, state: TrainState) -> None:
        """Zero the smallest weights of the network; nothing is trained after that."""
        state.masks = magnitude_masks(state.prunable, state.level)

    def _fitted_psi(self, state: TrainState) -> float:
        # Momentum lengthens every step by 1 / (1 - momentum).
        way = sum(map(state.schedule, range(state.budget))) / (1 - state.momentum)
        return float(2 * self.params.lambda_init / way)

    def _penalised(self, model: nn.Module) -> list[nn.Parameter]:
        kinds = (nn.Conv2d,) if self.params.scope == "conv" else (nn.Conv2d, nn.Linear)
        layers = [module for module in model.modules() if isinstance(module, kinds)]
        found = [parameter for layer in layers for parameter in layer.parameters()]
        return list(dict.fromkeys(found))  # a weight that layers share is penalised once


def penalty(weight: Tensor, coefficient: Tensor, *, xi: float, psi: float) -> Tensor:
    """ξ Σ |w| / λ² + ψ Σ |λ|, a scalar.

    Args:
        weight: the weights w, of any shape.
        coefficient: λ of each, of the same shape, none of them zero.
        xi: ξ, at least 0.
        psi: ψ, at least 0.
    """
    return xi * (weight.abs() / coefficient.square()).sum() + psi * coefficient.abs().sum()


def penalty_gradients(
    weight: Tensor, coefficient: Tensor, *, xi: float, psi: float
) -> tuple[Tensor, Tensor]:
    """The gradients of `penalty` by w and by λ; the former is zero where w is.

    Returns:
        ξ sign(w) / λ² and ψ sign(λ) - 2ξ |w| / λ³, each of the shape of the weight.
    """
    # In place where it can be: large tensors that come and go cost more than the arithmetic.
    lasso = coefficient.square().reciprocal_().mul_(xi)
    by_coefficient = (lasso * weight.abs()).div_(coefficient).mul_(-2)
    by_coefficient.add_(coefficient.sign(), alpha=psi)
    return lasso.mul_(weight.sign()), by_coefficient

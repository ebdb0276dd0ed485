"""Hierarchical adaptive lasso (HALO)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from robench.errors import TrainingError
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
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import JsonValue
    from torch import Tensor

    from robench.data.base import Data

__all__ = ["Halo", "gradients", "penalty"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_BLOCK = {"cpu": 128 * 1024, "cuda": 4 * 1024 * 1024}
"""Weights that are worked on at a time: enough for calls to cost little beside the arithmetic, and
few enough that HALO, which doubles parameters, gradients and momentum, hardly needs more."""
_STEEP = 1e6
"""With a slope of the gradient below this at the floor, λ cannot be the first to overflow."""
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class Halo(Method):
    """Hierarchical adaptive lasso: each weight learns how strongly it is penalised.

    Seto, Wells and Zhang 2021 (arXiv 2008.10183). Each penalised weight w has a coefficient λ of
    its own, trained beside it with the same learning rate, momentum and weight decay κ, and the
    loss becomes L + ξ Σ |w| / λ² + ψ Σ |λ|. A large weight gets a large λ and is hardly penalised,
    a small one is soon driven to zero: at its best λ the penalty of a weight is
    1.89 ξ^(1/3) ψ^(2/3) |w|^(1/3), or √(2ξκ|w|) where weight decay outweighs ψ (λ > ψ / κ). Trained
    from scratch, once for all levels; at each the smallest weights go, as many as it asks for,
    without fine-tuning. SGD leaves no exact zeros: HALO's own level is the share of weights that
    are negligible, see `robench.methods.tools.lasso.negligible_share`. The defaults were chosen on
    the validation split of MNIST, with LeNet-300-100 and budgets of 600 to 6,480 steps, for the
    accuracy at levels from 0.5 to 0.99.
    """

    name = "halo"
    version = 2
    starts_from = "init"
    shares_training = True

    class Params(Frozen):
        """The penalty, and what it is on."""

        xi: Positive = 5e-7
        """ξ, the weight of the penalty on the weights."""
        psi: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
        """ψ, the weight of the penalty on the coefficients, which lets them shrink; at 0 weight
        decay alone does. `None` fits it to the budget: a coefficient that nothing opposes is at
        zero after a third of the way that the schedule allows."""
        lambda_init: Positive = 1.0
        """λ of every weight before the first step."""
        lambda_floor: Positive = 1e-2
        """λ never goes below, and so never through zero, where the penalty has a pole: its
        gradients grow as 1 / λ³, and a short run's large steps throw λ far off."""
        scope: PenaltyScope = "all"
        """``all``: weights and biases of convolutions and Linear layers; ``conv``: those of
        convolutions alone. Either way the level counts all prunable weights."""
        update: Literal["subgrad", "prox"] = "subgrad"
        """``subgrad``, as the authors do: add the penalty's gradient. ``prox``, not in the paper:
        move each weight towards zero after the step, which gives exact zeros."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._coefficients: _Coefficients | None = None

    @property
    def coefficients(self) -> dict[str, Tensor]:
        """λ of every penalised weight, by the name of its parameter and of its shape."""
        return {} if self._coefficients is None else self._coefficients.by_name()

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """With ``scope: conv`` only networks that have a convolution."""
        return why_not(model, self.params.scope)

    def prepare(self, state: TrainState) -> None:
        """Give each penalised weight its coefficient."""
        psi = self._fitted_psi(state) if self.params.psi is None else self.params.psi
        self._coefficients = _Coefficients(
            penalised(state.model, self.params.scope), self.params, psi
        )
        state.add_parameters([self._coefficients.tensor])

    def after_backward(self, state: TrainState) -> None:
        """Add the gradients of the penalty, in closed form."""
        coefficients = self._prepared()
        coefficients.add_gradients(to_weights=self.params.update == "subgrad")
        if coefficients.is_steep:
            coefficients.check(state)

    def after_step(self, state: TrainState) -> None:
        """With ``update: prox`` the weights' part of the penalty."""
        if self.params.update == "prox":
            self._prepared().shrink_weights(reach(state))

    def finish(self, state: TrainState) -> None:
        """Zero the smallest weights of the network; nothing is trained after that."""
        if self._coefficients is not None:
            self._coefficients.check(state)
            state.notes |= {
                "psi": self._coefficients.psi,
                "lambda": self._coefficients.statistics(),
            }
        if self.params.update == "subgrad":
            state.native = negligible_share(state.prunable)
        state.masks = magnitude_masks(state.prunable, state.level)

    def _prepared(self) -> _Coefficients:
        if self._coefficients is None:
            raise TrainingError("HALO has no coefficients yet", hint="call prepare() first")
        return self._coefficients

    def _fitted_psi(self, state: TrainState) -> float:
        # Momentum lengthens every step by 1 / (1 - momentum).
        way = sum(map(state.schedule, range(state.budget))) / (1 - state.momentum)
        return float(3 * self.params.lambda_init / way)


def penalty(weight: Tensor, coefficient: Tensor, *, xi: float, psi: float) -> Tensor:
    """ξ Σ |w| / λ² + ψ Σ |λ|, a scalar; the same for λ of either sign.

    Args:
        weight: the weights w, of any shape.
        coefficient: λ of each, of the same shape, none of them zero.
        xi: ξ, at least 0.
        psi: ψ, at least 0.
    """
    return xi * (weight.abs() / coefficient.square()).sum() + psi * coefficient.abs().sum()


def gradients(
    weight: Tensor,
    coefficient: Tensor,
    *,
    xi: float,
    psi: float | Tensor,
    by_weight: Tensor,
    by_coefficient: Tensor,
) -> None:
    """The gradients of `penalty` by w, but for the factor ξ, and by λ, written where one says.

    They are sign(w) / λ² and ψ - 2ξ |w| / λ³; the former is zero where w is.

    Args:
        weight: the weights w, of any shape.
        coefficient: λ of each, positive, of the same shape.
        xi: ξ.
        psi: ψ; a tensor of no dimensions saves making one.
        by_weight: of the same shape, overwritten.
        by_coefficient: likewise.
    """
    # Few passes over memory, and nothing allocated: either costs more than the arithmetic.
    psi = torch.as_tensor(psi, dtype=weight.dtype, device=weight.device)
    torch.pow(coefficient, -2, out=by_coefficient)
    torch.sign(weight, out=by_weight).mul_(by_coefficient)
    torch.mul(by_weight, weight, out=by_coefficient)
    torch.addcdiv(psi, by_coefficient, coefficient, value=-2 * xi, out=by_coefficient)


class _Coefficients:
    """The coefficients of a network as one tensor, and their gradients, block by block.

    Args:
        weights: name → penalised parameter.
        params: of the method.
        psi: ψ.
    """

    def __init__(
        self, weights: Mapping[str, nn.Parameter], params: Halo.Params, psi: float
    ) -> None:
        some = next(iter(weights.values()))
        self.psi = psi
        self.is_steep = 2 * params.xi >= _STEEP * params.lambda_floor**3
        self._params = params
        self._block_size = _BLOCK.get(some.device.type, _BLOCK["cpu"])
        # Small parameters share blocks, and so must follow one another.
        self._weights = dict(sorted(weights.items(), key=lambda item: self._is_small(item[1])))
        self.tensor = nn.Parameter(
            some.new_full((sum(map(torch.numel, weights.values())),), params.lambda_init)
        )
        self._gradient = torch.zeros_like(self.tensor)
        self._psi_tensor = some.new_tensor(psi)
        self._blocks = self._cut()

    def add_gradients(self, *, to_weights: bool) -> None:
        """Keep λ above its floor, set its gradient, and add to those of the weights."""
        self.tensor.grad = self._gradient
        targets = self._pieces(map(gradient_of, self._weights.values()))
        with torch.no_grad():
            for block in self._blocks:
                block.coefficient.clamp_(min=self._params.lambda_floor)
                gradients(
                    block.weight(),
                    block.coefficient,
                    xi=self._params.xi,
                    psi=self._psi_tensor,
                    by_weight=block.by_weight,
                    by_coefficient=block.by_coefficient,
                )
                if to_weights:
                    for by_weight in block.by_piece:
                        next(targets).add_(by_weight, alpha=self._params.xi)

    def shrink_weights(self, factor: float) -> None:
        """The proximal step: every weight moves by `factor` times the slope of its penalty."""
        with torch.no_grad():
            for block in self._blocks:
                block.coefficient.clamp_(min=self._params.lambda_floor)
                torch.pow(block.coefficient, -2, out=block.by_weight).mul_(factor * self._params.xi)
                for weight, threshold in zip(block.pieces, block.by_piece, strict=True):
                    weight.sub_(weight.clamp(-threshold, threshold))

    def by_name(self) -> dict[str, Tensor]:
        """λ by the name of its parameter and of its shape, none below the floor."""
        return self._named(self.tensor.detach().clamp(min=self._params.lambda_floor))

    def statistics(self) -> dict[str, JsonValue]:
        """How λ is distributed."""
        floor = self._params.lambda_floor
        values = self.tensor.detach().clamp(min=floor)
        quantiles = np.quantile(values.cpu().numpy(), _QUANTILES)
        return {
            "quantiles": dict(zip(map(str, _QUANTILES), quantiles.tolist(), strict=True)),
            "share_at_floor": float((values == floor).double().mean()),
        }

    def check(self, state: TrainState) -> None:
        """Make sure that λ has not run away.

        Raises:
            TrainingError: its gradient is not finite, or so large that its square is not; names the
                parameter that is worst, and the step.
        """
        if math.isfinite(float(self._gradient.dot(self._gradient))):  # the fastest way to look
            return
        sizes = self._named(self._gradient.abs().nan_to_num(nan=math.inf))
        worst = max(sizes, key=lambda name: float(sizes[name].max()))
        raise TrainingError(
            f"HALO diverged: the coefficients λ of {worst!r} have a gradient of up to "
            f"{float(sizes[worst].max()):g} at step {state.step} of {state.budget}",
            hint=f"lower `xi` (it is {self._params.xi:g}) or the recipe's `learning_rate`, or "
            f"raise `lambda_floor` (it is {self._params.lambda_floor:g})",
        )

    def _is_small(self, weight: Tensor) -> bool:
        return weight.numel() <= self._block_size // 3

    def _cut(self) -> list[_Block]:
        groups: list[list[Tensor]] = []
        room = 0
        for piece in self._pieces(weight.detach() for weight in self._weights.values()):
            if piece.numel() > room:
                groups.append([])
                room = self._block_size // 3 if self._is_small(piece) else piece.numel()
            groups[-1].append(piece)
            room -= piece.numel()
        sizes = [sum(map(torch.numel, pieces)) for pieces in groups]
        shared = [size for size, pieces in zip(sizes, groups, strict=True) if len(pieces) > 1]
        scratch = self._gradient.new_empty(max(sizes))
        gathered = self._gradient.new_empty(max(shared, default=0))
        parts = zip(
            groups,
            torch.split(self.tensor.detach(), sizes),
            torch.split(self._gradient, sizes),
            strict=True,
        )
        return [_Block(*part, scratch, gathered) for part in parts]

    def _pieces(self, tensors: Iterable[Tensor]) -> Iterator[Tensor]:
        """The tensors, one for each parameter, in turn; large ones in pieces of a block each."""
        for tensor in tensors:
            parts = min(math.ceil(tensor.numel() / self._block_size), tensor.shape[0])
            yield from tensor.tensor_split(parts) if parts > 1 else (tensor,)

    def _named(self, flat: Tensor) -> dict[str, Tensor]:
        parts = torch.split(flat, [weight.numel() for weight in self._weights.values()])
        return {
            name: part.view(weight.shape)
            for (name, weight), part in zip(self._weights.items(), parts, strict=True)
        }


class _Block:
    """Rows of one large weight, or several small parameters, and what belongs to them.

    Args:
        pieces: the weights, views.
        coefficient: λ, a flat view.
        by_coefficient: its gradient, a flat view.
        scratch: for the gradient by the weights; shared by all blocks, at least of their size.
        gathered: for weights of several pieces; likewise.
    """

    def __init__(
        self,
        pieces: list[Tensor],
        coefficient: Tensor,
        by_coefficient: Tensor,
        scratch: Tensor,
        gathered: Tensor,
    ) -> None:
        self.pieces = pieces
        shape = pieces[0].shape if len(pieces) == 1 else coefficient.shape
        size = coefficient.numel()
        self.coefficient = coefficient.view(shape)
        self.by_coefficient = by_coefficient.view(shape)
        self.by_weight = scratch[:size].view(shape)
        parts = torch.split(scratch[:size], [piece.numel() for piece in pieces])
        self.by_piece = [part.view(piece.shape) for part, piece in zip(parts, pieces, strict=True)]
        self._gathered = gathered[:size]

    def weight(self) -> Tensor:
        """The weights as one tensor."""
        if len(self.pieces) == 1:
            return self.pieces[0]
        return torch.cat([piece.flatten() for piece in self.pieces], out=self._gathered)

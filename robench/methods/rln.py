"""Regularization learning networks (RLN)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from robench.errors import NotApplicableError
from robench.methods.base import Method, TrainState
from robench.methods.lasso import negligible_share
from robench.methods.masks import Scope, magnitude_masks
from robench.models.base import prunable
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import JsonValue
    from torch import Tensor, nn

    from robench.data.base import Data

__all__ = ["RegularizationLearning", "theta_of_the_paper"]

_BLOCK = {"cpu": 96 * 1024, "cuda": 4 * 1024 * 1024}
"""Weights that are worked on at a time; on a CPU, what its caches hold."""
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class RegularizationLearning(Method):
    """Regularization learning networks: each weight's strength of the lasso is learnt as one trains.

    Shavitt and Segal 2018 (arXiv 1805.06440). After every step of the optimiser, which sees the
    empirical loss alone, each regularised weight moves towards zero by exp(λ), a strength of its
    own, and no further than to zero. The next batch tells whether that was good: where the
    optimiser now moves a weight on in the same direction, λ rises, else it falls; then all λ are
    shifted so that their mean is θ again. Biases are never regularised. Trained from scratch, once
    for all levels; at each the smallest weights go, as many as it asks for, without fine-tuning.

    θ and ν are in the units of the authors' code: exp(θ) is how far a weight moves in a step at the
    highest learning rate of the recipe, and falls with the schedule. `theta_of_the_paper` converts.
    """

    name = "rln"
    starts_from = "init"
    trains_once = True

    class Params(Frozen):
        """How strong the regularisation is, how fast that is learnt, and for which weights."""

        theta: Annotated[float, Field(le=0, allow_inf_nan=False)] = -10.0
        """θ, the mean of all λ: the larger, the sparser."""
        nu: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e6
        """ν, the learning rate of λ: the larger, the further strengths spread. With 0 it is the
        proximal lasso."""
        norm: Literal[1, 2] = 1
        """1 shrinks a weight by exp(λ), 2 by the share 2 exp(λ) of itself: few reach zero then."""
        mode: Literal["reference", "soft"] = "reference"
        """``reference``, as the authors' code does: λ never exceeds what takes its weight to zero,
        so that a weight that comes back to life is regularised weakly. ``soft``: λ goes its own
        way, and dead weights stay dead."""
        layers: Literal["first", "all"] = "all"
        """Which layers are regularised: all, as in the paper, or the one that reads the features,
        as in the authors' code. Either way the level counts all prunable weights."""
        scope: Literal["layer", "network"] = "layer"
        """Whether the λ of each layer have the mean θ, as in the authors' code, or those of the
        network together, as in the paper."""
        threshold: Scope = "global"
        """Whether magnitudes compete for a level over the network, or within each layer."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._layers: dict[str, _Layer] = {}
        self._peak = 0.0

    @property
    def log_strengths(self) -> dict[str, Tensor]:
        """λ of every regularised weight as of the last step, by name and of the weight's shape."""
        return {name: layer.log_strength for name, layer in self._layers.items()}

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """Only networks that have a weight to regularise."""
        return bool(prunable(model)) or "there is no convolution and no Linear layer to regularise"

    def prepare(self, state: TrainState) -> None:
        """Set all λ to θ.

        Raises:
            NotApplicableError: the recipe has weight decay, which would pass for the loss.
        """
        if state.weight_decay:
            raise NotApplicableError(
                "RLN judges its regularisation by how the optimiser moves the weights, which a "
                f"weight decay of {state.weight_decay:g} distorts",
                allowed="weight_decay: 0",
                hint="take the weight decay out of the recipe: RLN regularises by itself",
            )
        self._peak = max(map(state.schedule, range(state.budget)))
        chosen = list(state.prunable)[: 1 if self.params.layers == "first" else None]
        self._layers = {name: _Layer(state.prunable[name], self.params) for name in chosen}
        self._pools = [chosen] if self.params.scope == "network" else [[name] for name in chosen]

    def after_step(self, state: TrainState) -> None:
        """Learn λ from how the optimiser moved the weights, then move them towards zero."""
        if not state.learning_rate:
            return  # nothing has moved, nor shall
        share = state.learning_rate / self._peak
        for pool in self._pools:
            layers = [self._layers[name] for name in pool]
            for layer in layers:
                layer.learn(self.params.nu)
            _project(layers, [state.masks.get(name) for name in pool], self.params.theta, share)
            for layer in layers:
                layer.regularise(share)

    def finish(self, state: TrainState) -> None:
        """Zero the smallest weights of the network; nothing is trained after that."""
        if self._layers:
            state.notes["lambda"] = {
                name: _quantiles(strengths) for name, strengths in self.log_strengths.items()
            }
        # Steps of Adam and RMSprop are as long for a weight that does not matter as for any other,
        # so that few weights are at zero at any one time.
        state.native = negligible_share(state.prunable)
        state.masks = magnitude_masks(state.prunable, state.level, scope=self.params.threshold)


def theta_in_code(theta: float, learning_rate: float, momentum: float = 0.0) -> float:
    """θ of the paper's equations in the units of the authors' code, which the parameter is in.

    In the paper a weight moves by η exp(λ) in each step, in the code by exp(λ); and momentum μ makes
    the loss, not the code's regularisation, weigh 1 / (1 - μ) times as much.

    Args:
        theta: the mean of λ as the paper has it.
        learning_rate: η of SGD, positive.
        momentum: μ of SGD, in [0, 1).
    """
    return theta + math.log(learning_rate / (1 - momentum))


class _Block(NamedTuple):
    """Rows of one layer's tensors: views."""

    weight: Tensor
    log_strength: Tensor
    shrunk: Tensor
    left_at: Tensor
    scratch: Tensor


class _Layer:
    """The weights of one layer and how strongly each of them is regularised.

    Args:
        weight: of any shape.
        params: of the method.
    """

    def __init__(self, weight: Tensor, params: RegularizationLearning.Params) -> None:
        weight = weight.detach()
        self._is_reference = params.mode == "reference"
        self._norm = params.norm
        self._share = 1.0
        # λ is relative to the highest learning rate; this is λ + ln(share).
        self._log_strength = torch.full_like(weight, params.theta)
        tensors = (weight, self._log_strength, torch.zeros_like(weight), weight.clone())
        parts = math.ceil(weight.numel() / _BLOCK.get(weight.device.type, _BLOCK["cpu"]))
        pieces = [tensor.tensor_split(min(parts, len(weight))) for tensor in tensors]
        scratch = torch.empty_like(pieces[0][0])
        self._blocks = [
            _Block(*block, scratch[: len(block[0])]) for block in zip(*pieces, strict=True)
        ]

    @property
    def log_strength(self) -> Tensor:
        """λ, of the weight's shape."""
        return self._log_strength - math.log(self._share)

    def learn(self, rate: float) -> None:
        """The counterfactual update, by what the optimiser did since the last regularisation.

        λ falls by ν times the product of that move and the last shrinkage, which is negative where
        the loss of the next batch called for more of the same. Before the first there is none.
        """
        for block in self._blocks:
            torch.sub(block.weight, block.left_at, out=block.scratch)
            block.log_strength.addcmul_(block.scratch, block.shrunk, value=-rate / self._share)

    def sum_and_count(self, mask: Tensor | None) -> tuple[Tensor, int]:
        """Of λ where a mask, if there is one, lets weights live."""
        if mask is not None:
            alive = self._log_strength[mask]
            return alive.sum(dtype=torch.float64), alive.numel()
        sums = [block.log_strength.sum() for block in self._blocks]
        return torch.stack(sums).sum(dtype=torch.float64), self._log_strength.numel()

    def shift(self, by: Tensor) -> None:
        """Add to every λ."""
        for block in self._blocks:
            block.log_strength.add_(by)

    def regularise(self, share: float) -> None:
        """Move every weight towards zero.

        Args:
            share: the learning rate over the highest.
        """
        self._share = share
        for block in self._blocks:
            if self._norm == 1:
                self._soft_threshold(block)
            else:
                self._decay(block)
            block.weight.sub_(block.shrunk)
            block.left_at.copy_(block.weight)

    def _soft_threshold(self, block: _Block) -> None:
        if self._is_reference:
            # λ of a weight at zero has no bound: there is nothing to cross.
            torch.abs(block.weight, out=block.scratch)
            _log_(block.scratch).nan_to_num_(nan=math.nan, posinf=math.inf, neginf=math.inf)
            torch.minimum(block.log_strength, block.scratch, out=block.log_strength)
        threshold = _exp(block.log_strength, out=block.scratch)
        # A λ without bound makes an infinite threshold, with which no product may be formed: zero
        # times it is not a number. Clamping is safe.
        torch.neg(threshold, out=block.shrunk)
        torch.clamp(block.weight, block.shrunk, threshold, out=block.shrunk)

    def _decay(self, block: _Block) -> None:
        if self._is_reference:
            block.log_strength.clamp_(max=math.log(0.5))
        strength = _exp(block.log_strength, out=block.scratch).clamp_(max=0.5)
        torch.mul(block.weight, strength, out=block.shrunk).mul_(2)


def _project(
    layers: Sequence[_Layer], masks: Sequence[Tensor | None], theta: float, share: float
) -> None:
    """Shift the λ of all these layers together, so that their mean over living weights is θ."""
    sums, counts = zip(*(layer.sum_and_count(mask) for layer, mask in zip(layers, masks, strict=True)), strict=True)
    by = theta + math.log(share) - torch.stack(sums).sum() / sum(counts)
    for layer in layers:
        layer.shift(by)


def _exp(values: Tensor, *, out: Tensor) -> Tensor:
    """The exponential, where one says; infinite where it overflows."""
    if values.device.type != "cpu":
        return torch.exp(values, out=out)
    with np.errstate(over="ignore"):
        np.exp(values.numpy(), out=out.numpy())  # takes half as long as torch's
    return out


def _log_(values: Tensor) -> Tensor:
    """The logarithm, in place; minus infinity of zero."""
    if values.device.type != "cpu":
        return values.log_()
    with np.errstate(divide="ignore"):
        np.log(values.numpy(), out=values.numpy())  # takes a third as long as torch's
    return values


def _quantiles(values: Tensor) -> dict[str, JsonValue]:
    found = np.quantile(values.cpu().numpy(), _QUANTILES)
    return dict(zip(map(str, _QUANTILES), found.tolist(), strict=True))

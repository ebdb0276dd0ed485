"""Regularization learning networks (RLN)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from robench.errors import NotApplicableError
from robench.methods.base import Method, TrainState
from robench.methods.masks import (
    Masks,
    Scope,
    apportion,
    magnitude_masks,
    masks_by_count,
    zeros_at,
)
from robench.methods.tools.lasso import negligible_share
from robench.models.base import prunable
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue
    from torch import Tensor, nn

    from robench.data.base import Data

__all__ = ["RegularizationLearning", "theta_in_code"]

_NO_BOUND = 127
"""More than any λ needs, to base 2; two to that power is still finite."""
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class RegularizationLearning(Method):
    """Regularization learning networks: how strongly each weight is regularised is learnt too.

    Shavitt and Segal 2018 (arXiv 1805.06440). The optimiser sees the empirical loss alone; after
    each of its steps every regularised weight moves towards zero by exp(λ), with a λ of its own,
    and no further than to zero. Where the next batch moves a weight on in the same direction, that
    was good and λ rises, else it falls; then all λ are shifted so that their mean stays θ. Trained
    from scratch, once for all levels; at each the smallest weights go, as many as it asks for,
    without fine-tuning.

    θ and ν are in the units of the authors' code: exp(θ) is how far a weight moves in one step at
    the recipe's highest learning rate. At lower rates it moves by as much less, as in the paper's
    equations; `theta_in_code` converts their θ. Both depend on the optimiser. The defaults were
    chosen with SGD on the validation split of MNIST, with LeNet-300-100 and 2,400 steps, for the
    best accuracy over levels from 0.9 to 0.99. The authors' tutorial has RMSprop at 0.001, θ = -10,
    ν = 1e6, the reference mode and the first layer alone.
    """

    name = "rln"
    starts_from = "init"
    shares_training = True

    class Params(Frozen):
        """How strong the regularisation is, how fast that is learnt, and for which weights."""

        theta: Annotated[float, Field(ge=-50, le=0)] = -7.0
        """θ, the mean of all λ: the larger, the sparser."""
        nu: Annotated[float, Field(ge=0, le=1e12)] = 1e4
        """ν, the learning rate of λ: the larger, the further strengths spread. With 0 it is the
        proximal lasso."""
        norm: Literal[1, 2] = 1
        """1: a weight moves by exp(λ); 2: by the share 2 exp(λ) of itself."""
        mode: Literal["reference", "soft"] = "soft"
        """``soft``: a weight stops at zero, its λ stays. ``reference``, as in the authors' code: a
        λ that would take its weight past zero is lowered for good to what takes it there, which
        raises all others through the mean. That takes an optimiser that never lets dead weights
        rest, as RMSprop and Adam; with SGD whole networks were seen to go to zero."""
        layers: Literal["first", "all"] = "all"
        """What is regularised: the weights of all layers, as in the paper, or of the first, as in
        the authors' tutorial; never biases. Either way the level counts all prunable weights."""
        scope: Literal["layer", "network"] = "layer"
        """Which λ together have the mean θ: those of each layer, as in the authors' code, or all,
        as in the paper."""
        threshold: Scope = "global"
        """Where the zeros of a level lie. ``global``: at the smallest of the weights that were
        regularised, or of all where these are too few. ``layer``: each layer has its share."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._strengths: _Strengths | None = None
        self._peak = 0.0

    @property
    def log_strengths(self) -> dict[str, Tensor]:
        """λ of every regularised weight, by the name of its parameter and of its shape."""
        return {} if self._strengths is None else self._strengths.by_name()

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """Networks that have a weight to regularise."""
        return bool(prunable(model)) or "there is no convolution and no Linear layer to regularise"

    def prepare(self, state: TrainState) -> None:
        """Set all λ to θ.

        Raises:
            NotApplicableError: the recipe has weight decay.
        """
        if state.weight_decay:
            raise NotApplicableError(
                "RLN judges its regularisation by how the loss moves the weights, which a weight "
                f"decay of {state.weight_decay:g} would distort",
                allowed="weight_decay: 0",
                hint="take the weight decay out of the recipe; RLN regularises by itself",
            )
        self._strengths = _Strengths(self._regularised(state), self.params)
        self._peak = max(map(state.schedule, range(state.budget)))

    def after_step(self, state: TrainState) -> None:
        """Learn λ from how the optimiser moved the weights, then move them towards zero."""
        if self._strengths is not None and state.learning_rate > 0:
            self._strengths.step(state.learning_rate / self._peak, state.masks)

    def finish(self, state: TrainState) -> None:
        """Zero the smallest weights of the network; nothing is trained after that."""
        if self._strengths is not None:
            state.notes["lambda"] = self._strengths.quantiles()
        # Adam and RMSprop move weights that do not matter as far as those that do, so that dead
        # weights are rarely at zero.
        state.native = negligible_share(state.prunable)
        state.masks = self._masks(state)

    def _masks(self, state: TrainState) -> Masks:
        weights, regularised = state.prunable, self._regularised(state)
        zeros = zeros_at(state.level, sum(map(torch.numel, weights.values())))
        if self.params.threshold == "layer":
            return _layerwise(weights, state.level, zeros)
        room = sum(map(torch.numel, regularised.values()))
        if zeros <= room - len(regularised):
            return magnitude_masks(regularised, zeros / room)
        return magnitude_masks(weights, state.level)

    def _regularised(self, state: TrainState) -> dict[str, nn.Parameter]:
        names = list(state.prunable)[: 1 if self.params.layers == "first" else None]
        return {name: state.prunable[name] for name in names}


def theta_in_code(theta: float, learning_rate: float, momentum: float = 0.0) -> float:
    """θ of the paper's equations in the units of the authors' code, which the parameter has.

    In the paper a weight moves by η exp(λ) in each step, in the code by exp(λ). Momentum μ, of
    which neither speaks, lengthens what the loss does by 1 / (1 - μ), but not what follows a step.

    Args:
        theta: the mean of λ in the paper's units.
        learning_rate: η of SGD, positive.
        momentum: μ of SGD, in [0, 1).
    """
    return theta + math.log(learning_rate / (1 - momentum))


def _layerwise(weights: Mapping[str, nn.Parameter], level: float, zeros: int) -> Masks:
    """Masks that zero the smallest weights of each layer, at the same level but for what is zero.

    A layer that has more zeros than its share by now keeps them, and spares the others as many.

    Args:
        weights: name → weight.
        level: share of the weights of each layer that become zero.
        zeros: how many that is in all.
    """
    sizes = [weight.numel() for weight in weights.values()]
    there = [weight.numel() - int(weight.count_nonzero()) for weight in weights.values()]
    shares = [max(level * size, found) for size, found in zip(sizes, there, strict=True)]
    to_choose = sum(shares) - sum(there)
    spared = (sum(shares) - zeros) / to_choose if to_choose else 0.0
    shares = [share - spared * (share - found) for share, found in zip(shares, there, strict=True)]
    magnitudes = {name: weight.detach().abs() for name, weight in weights.items()}
    return masks_by_count(magnitudes, apportion(shares, sizes, zeros))


class _Strengths:
    """The regularised weights, and how strongly each is regularised.

    What belongs to the weights lies in flat tensors, one layer after another, which are worked on
    in place: passes over memory are what a step costs. λ is kept as a logarithm to base 2, whose
    powers are found twice as fast as those of e, with that of the learning rate's share of its peak
    added to it.

    Args:
        weights: name → regularised parameter.
        params: of the method.
    """

    def __init__(
        self, weights: Mapping[str, nn.Parameter], params: RegularizationLearning.Params
    ) -> None:
        self._params = params
        self._weights = {name: weight.detach() for name, weight in weights.items()}
        left_at = torch.cat([weight.flatten() for weight in self._weights.values()])
        self._log2 = torch.full_like(left_at, params.theta / math.log(2))
        self._shrunk_by = torch.zeros_like(left_at)
        self._scratch = torch.empty_like(left_at)
        self._share = 1.0
        self._log2_of = self._named(self._log2)
        self._pools: list[tuple[Tensor, list[str]]] = [
            (part.view(-1), [name]) for name, part in self._log2_of.items()
        ]
        if params.scope == "network":
            self._pools = [(self._log2, list(weights))]
        flats = (left_at, self._shrunk_by, self._scratch)
        views = (self._named(flat).values() for flat in flats)
        self._layers = [
            _Layer(*parts) for parts in zip(self._weights.values(), *views, strict=True)
        ]

    def step(self, share: float, masks: Mapping[str, Tensor]) -> None:
        """After a step of the optimiser: learn, project, regularise.

        Args:
            share: the learning rate of that step over the highest, in (0, 1].
            masks: name → true where a weight lives; the mean of λ is taken over these.
        """
        self._learn()
        self._share = share
        self._project(masks)
        if self._params.norm == 1:
            self._soft_threshold()
        else:
            self._decay()
        for layer in self._layers:
            layer.weight.sub_(layer.shrunk_by)
            layer.left_at.copy_(layer.weight)

    def by_name(self) -> dict[str, Tensor]:
        """λ by the name of its parameter and of its shape."""
        return self._named((self._log2 - math.log2(self._share)) * math.log(2))

    def quantiles(self) -> JsonValue:
        """How the λ of each layer are distributed."""
        found = {
            name: np.quantile(values.double().cpu().numpy(), _QUANTILES).tolist()
            for name, values in self.by_name().items()
        }
        return {
            name: dict(zip(map(str, _QUANTILES), values, strict=True))
            for name, values in found.items()
        }

    def _learn(self) -> None:
        """Descend the loss of this batch as a function of the λ that preceded it.

        Its derivative by λ is minus the product of the gradient's step and the last shrinkage.
        Before the first there was none.
        """
        for layer in self._layers:
            torch.sub(layer.weight, layer.left_at, out=layer.scratch)
        rate = self._params.nu / (self._share * math.log(2))
        self._log2.addcmul_(self._scratch, self._shrunk_by, value=-rate)

    def _project(self, masks: Mapping[str, Tensor]) -> None:
        theta = self._params.theta / math.log(2) + math.log2(self._share)
        for pool, names in self._pools:
            living = pool
            if not masks.keys().isdisjoint(names):
                parts = ((self._log2_of[name], masks.get(name)) for name in names)
                living = torch.cat([p.flatten() if m is None else p[m] for p, m in parts])
            pool.add_(theta - living.sum() / living.numel())

    def _soft_threshold(self) -> None:
        # A threshold may be infinite: to clamp by it is safe, to multiply it with zero is not.
        torch.exp2(self._log2, out=self._scratch)
        torch.neg(self._scratch, out=self._shrunk_by)
        for layer in self._layers:
            torch.clamp(layer.weight, layer.shrunk_by, layer.scratch, out=layer.shrunk_by)
        if self._params.mode == "reference":
            for layer in self._layers:
                torch.abs(layer.weight, out=layer.scratch)
            # At zero there is nothing to cross, so that any λ goes whose power is finite.
            torch.threshold_(self._scratch, 0.0, 2.0**_NO_BOUND)
            torch.minimum(self._log2, _log2_(self._scratch), out=self._log2)

    def _decay(self) -> None:
        if self._params.mode == "reference":
            self._log2.clamp_(max=-1)
        torch.exp2(self._log2, out=self._scratch).clamp_(max=0.5).mul_(2)
        for layer in self._layers:
            torch.mul(layer.weight, layer.scratch, out=layer.shrunk_by)

    def _named(self, flat: Tensor) -> dict[str, Tensor]:
        parts = torch.split(flat, [weight.numel() for weight in self._weights.values()])
        return {
            name: part.view(weight.shape)
            for (name, weight), part in zip(self._weights.items(), parts, strict=True)
        }


class _Layer(NamedTuple):
    """A weight, and views of its shape into the flat tensors beside it."""

    weight: Tensor
    left_at: Tensor
    shrunk_by: Tensor
    scratch: Tensor


def _log2_(values: Tensor) -> Tensor:
    """The logarithm to base 2, in place, of values that are positive."""
    if values.device.type != "cpu":
        return values.log2_()
    np.log2(values.numpy(), out=values.numpy())  # in a quarter of the time that torch takes
    return values

"""The method NoiseOut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator
from torch import nn

from robench.errors import LevelNotReachedError, NotApplicableError
from robench.methods.base import Method, TrainState
from robench.methods.masks import count_zeros, magnitude_masks, zeros_at
from robench.methods.noiseout.heads import (
    NoiseHeads,
    Targets,
    binomial_targets,
    constant_targets,
    gaussian_targets,
)
from robench.methods.noiseout.links import Link, links_of, most_zeros
from robench.methods.noiseout.merger import Merger
from robench.methods.noiseout.plan import Choice
from robench.methods.noiseout.probe import Probe, are_separate
from robench.models.base import prunable
from robench.models.chain import Layer, chain
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from torch import Tensor

    from robench.data.base import Data

__all__ = ["NoiseOut"]

Noise = Literal["gaussian", "binomial", "constant", "none"]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class NoiseOut(Method):
    """Merge units whose activations go together; noise outputs see to it that many do.

    Babaeizadeh, Smaragdis and Campbell 2016 (arXiv 1611.06211). Beside the outputs of the network
    there are others with random targets, fed by the last hidden layer, which drive its units to be
    correlated; they are gone at the end. A unit whose activation is nearly α times that of another
    one plus β leaves the network: the next layer reads the other unit for it, and its bias takes β
    over. Training goes on between rounds of merges.

    The authors merge as long as the cost stays below a threshold. Here the score on a probe of
    training images (a method sees no others) may fall by `tolerance` below the best one so far;
    merges beyond that are undone. As a level has to be met, there is also a number of zeros that
    each round must come to whatever the score says: each keeps the same share of the weights that
    are left. The highest level at which the score was within the tolerance is the native one. The
    last weights, fewer than one unit has, go by magnitude.

    Ours, not the authors': convolutions, whose maps are merged as units are, correlated over images
    and pixels behind activation, BatchNorm and pooling. That is as exact as in dense layers, but
    for the border of a map that the next convolution pads with zeros, unless β is 0. γ, `begin` and
    `end` were chosen on the validation split of MNIST, with LeNet-300-100, tanh and 8,000 steps.
    """

    name = "noiseout"
    structure = "neuron"
    starts_from = "init"  # as in the paper; the noise must have time to make units alike

    class Params(Frozen):
        """The noise, what is merged, and when."""

        noise: Noise = "gaussian"
        """Distribution of the targets of the noise outputs; ``none``: there are no such outputs."""
        noise_outputs: Annotated[int, Field(ge=1)] = 512
        """K, how many there are."""
        noise_mean: Finite | None = None
        """Mean of the targets: of a binomial the probability of a 1, of a constant its value. By
        default 0, 0.5 and 1."""
        noise_std: Positive = 1.0
        """Standard deviation of Gaussian targets."""
        gamma: Positive = 3.0
        """γ, the weight of the noise outputs' mean squared error in the loss."""
        choose: Choice = "correlation"
        """Which units go first: those of the largest |ρ| with another one, as the authors have
        it, or those whose loss changes the next layer's results least (``damage``). Of a pair it
        is in either case the one that does less damage."""
        tolerance: Share = 0.01
        """How far the score may fall by merging: accuracy, or R² of a regression."""
        probe_samples: Annotated[int, Field(ge=4)] = 2000
        """Training images in the probe: half to correlate activations on, half to score."""
        rounds: Annotated[int, Field(ge=1)] = 40
        """Rounds of merges, at even distances."""
        begin: Share = 0.2
        """Share of the budget after which the first round comes."""
        end: Annotated[float, Field(gt=0, lt=1)] = 0.6
        """Share of the budget after which the level is there; the rest is for recovery."""

        @model_validator(mode="after")
        def _is_consistent(self) -> NoiseOut.Params:
            if self.begin >= self.end:
                raise ValueError(f"begin ({self.begin:g}) must be below end ({self.end:g})")
            mean = self.noise_mean
            if self.noise == "binomial" and mean is not None and not 0 <= mean <= 1:
                raise ValueError(f"noise_mean ({mean:g}) is the probability of a 1: 0 … 1")
            return self

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self._merger: Merger
        self._probe: Probe
        self._heads: NoiseHeads | None = None
        self._round = -1
        self._is_done = False
        self._best = float("-inf")
        self._native = 0

    def supports(self, model: nn.Module, data: Data) -> Literal[True] | str:
        """Chains of layers, with a layer whose units can be merged."""
        try:
            _links(model)
        except NotApplicableError as error:
            return str(error)
        output = chain(model)[-1]
        if self.params.noise != "none" and not isinstance(output.module, nn.Linear):
            return f"noise outputs need a Linear output layer, not {output.name!r}; try noise: none"
        if len(data.train) < 4:
            return f"correlations need at least 4 training samples, not {len(data.train)}"
        return True

    def prepare(self, state: TrainState) -> None:
        """Add the noise outputs, set the probe aside, and see whether the level can be reached."""
        layers, links = _links(state.model)
        inputs, _ = next(state.train_batches())
        links = [one for one in links if are_separate(state.model, one, inputs, state.generator)]
        if not links:
            raise NotApplicableError(
                "no layer reads the units of another one by one",
                hint="units that are mixed or reordered on the way cannot be merged",
            )
        total = _total(state)
        if self._wanted(state) > (most := most_zeros(layers, links)):
            raise LevelNotReachedError(
                f"with one unit left in each layer {most / total:.4f} of the weights are zero, less"
                f" than the level {state.level:g} asks for",
                achieved=most / total,
                hint="ask for a lower level, or take a larger network",
            )
        if self.params.noise != "none":
            self._heads = self._noise_heads(layers[-1], state)
        self._probe = Probe(state.train_batches(), self.params.probe_samples)
        self._merger = Merger(layers, links, self._probe, self.params.choose, self._heads)

    def penalty(self, _state: TrainState) -> Tensor | None:
        """The error of the noise outputs."""
        return None if self._heads is None else self.params.gamma * self._heads.loss()

    def after_step(self, state: TrainState) -> None:
        """Keep silent what is gone; merge where a round is due."""
        self._merger.hold()
        begin, end = self.params.begin * state.budget, self.params.end * state.budget
        rounds = int((state.step - begin) / (end - begin) * self.params.rounds)
        if rounds > self._round and state.step >= begin and not self._is_done:
            self._round = min(rounds, self.params.rounds)
            self._merge(state)

    def finish(self, state: TrainState) -> None:
        """Leave the network as it was, without noise outputs, and note what came of it."""
        if self._heads is not None:
            self._heads.remove()
        score = self._probe.score(state.model)
        self._see(state, score)
        state.native = self._native / _total(state)
        correlation = self._merger.correlation(state)
        state.notes.setdefault("correlation_before_merging", dict(correlation))
        state.notes |= {
            "correlation": dict(correlation),
            "units": dict(self._merger.units),
            "attempts_undone": self._merger.undone,
            "probe_score": score,
            "probe_score_best": self._best,
            "is_within_tolerance": score >= self._floor,
        }

    @property
    def _floor(self) -> float:
        return self._best - self.params.tolerance

    def _wanted(self, state: TrainState) -> int:
        return zeros_at(state.level, _total(state))

    def _merge(self, state: TrainState) -> None:
        """One round."""
        if "correlation_before_merging" not in state.notes:
            state.notes["correlation_before_merging"] = dict(self._merger.correlation(state))
        score = self._probe.score(state.model)
        self._best = max(self._best, score)
        self._see(state, score)
        share = self._round / self.params.rounds
        goal = zeros_at(1 - (1 - state.level) ** share, _total(state))
        self._is_done = self._merger.merge(state, goal, self._wanted(state), self._floor)
        self._see(state, self._probe.score(state.model))
        if self._is_done and count_zeros(state.prunable) < self._wanted(state):
            state.masks = magnitude_masks(state.prunable, state.level)

    def _see(self, state: TrainState, score: float) -> None:
        """Remember the highest level at which the score was good enough."""
        if score >= self._floor:
            self._native = max(self._native, count_zeros(state.prunable))

    def _noise_heads(self, output: Layer, state: TrainState) -> NoiseHeads:
        params, layer = self.params, output.module
        if not isinstance(layer, nn.Linear):  # refused by `supports`
            raise TypeError(f"the output layer {output.name!r} is no Linear")
        targets: dict[str, Targets] = {
            "gaussian": gaussian_targets(params.noise_mean or 0.0, params.noise_std),
            "binomial": binomial_targets(_default(params.noise_mean, 0.5)),
            "constant": constant_targets(_default(params.noise_mean, 1.0)),
        }
        heads = NoiseHeads(layer, params.noise_outputs, targets[params.noise], state.generator)
        state.add_parameters(heads.parameters)
        return heads


def _links(model: nn.Module) -> tuple[list[Layer], list[Link]]:
    """The chain, and where its units can be merged.

    Raises:
        NotApplicableError: it is no chain, or there is no such place.
    """
    layers = chain(model)
    links = links_of(layers, prunable(model))
    if not links:
        raise NotApplicableError(
            "there is no prunable layer whose units another prunable layer reads",
            hint="take a network with a hidden layer, whose reader is no grouped convolution",
        )
    return layers, links


def _total(state: TrainState) -> int:
    return sum(weight.numel() for weight in state.prunable.values())


def _default(value: float | None, default: float) -> float:
    return default if value is None else value

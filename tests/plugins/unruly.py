"""Methods that break one rule of the conformance kit each, on the line that says so."""

import sys
from typing import Any

import torch
from pydantic import Field
from torch import nn

from robench.errors import NotApplicableError
from robench.methods.base import Method
from robench.methods.masks import magnitude_masks, random_masks
from robench.spec.base import Frozen


class _Fair(Method):
    """Keeps all the rules."""

    starts_from = "dense"

    def prepare(self, state):
        state.masks = magnitude_masks(state.prunable, state.level)


class Interface(_Fair):  # here
    name = "breaks-interface"
    structure = "neurons"


class DefaultsInSchema(_Fair):
    name = "breaks-defaults-in-schema"

    class Params(Frozen):  # here
        strength: float = Field(2.0, ge=0, le=1)


class RefusesNan(_Fair):
    name = "breaks-refuses-nan"

    class Params(Frozen):  # here
        strength: float = 0.5


class ParamsRoundTrip(_Fair):
    name = "breaks-params-round-trip"

    class Params(Frozen):  # here
        widths: Any = (1, 2)


class KeepsParams(_Fair):
    name = "breaks-keeps-params"

    class Params(Frozen):
        strength: float = Field(0.5, ge=0, le=1)

    def __init__(self, params=None):  # here
        super().__init__(params)
        self.params = self.params.model_copy(update={"strength": 0.1})


class TravelsByName(_Fair):  # here
    name = "breaks-travels-by-name"


class OfTheSameName(_Fair):
    name = "breaks-travels-by-name"


class HooksRun(_Fair):
    name = "breaks-hooks-run"

    def after_step(self, state):
        if state.step == 3:
            raise RuntimeError("a mistake of mine")  # here


class PenaltyCounts(_Fair):
    name = "breaks-penalty-counts"

    def penalty(self, state):  # here
        return sum(weight.detach().abs().sum() for weight in state.prunable.values())


class RestoresGlobals(_Fair):
    name = "breaks-restores-globals"

    def after_step(self, state):
        weight = next(iter(state.prunable.values()))
        torch.rand(3)  # here
        assert weight.requires_grad


class KeepsToBudget(_Fair):
    name = "breaks-keeps-to-budget"

    def after_step(self, state):
        state.optimiser.step()  # here


class MasksInOrder(_Fair):
    name = "breaks-masks-in-order"

    def prepare(self, state):
        masks = magnitude_masks(state.prunable, state.level)
        state.masks = {name: mask.float() for name, mask in masks.items()}  # here
        assert state.masks


class MaskedWeightsZero(_Fair):
    name = "breaks-masked-weights-zero"

    def prepare(self, state):
        super().prepare(state)
        for module in state.model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight = nn.Parameter(module.weight.detach().clone())  # here


class LeavesNoTrace(_Fair):
    name = "breaks-leaves-no-trace"

    def after_step(self, state):
        if state.step == 1:
            state.model.register_forward_hook(lambda *_: None)  # here

    def finish(self, state):
        """Forgets to take it away."""


class SparesTheRest(_Fair):
    name = "breaks-spares-the-rest"

    def finish(self, state):
        state.model.normalise.std.mul_(2)  # here


class NoPeeking(_Fair):
    name = "breaks-no-peeking"

    def finish(self, state):
        frame = sys._getframe()
        while "data" not in frame.f_locals:
            frame = frame.f_back
        self.best = frame.f_locals["data"].validation.labels  # here


class NotesArePlain(_Fair):  # here
    name = "breaks-notes-are-plain"

    def finish(self, state):
        state.notes["share"] = torch.tensor(0.5)


class StaysFinite(_Fair):
    name = "breaks-stays-finite"

    def after_step(self, state):
        assert state.optimiser.param_groups[0]["nesterov"] is False  # here


class ReachesLevels(_Fair):
    name = "breaks-reaches-levels"

    def prepare(self, state):
        state.masks = magnitude_masks(state.prunable, state.level / 2)

    def finish(self, state):  # here
        """Believes that it is there."""


class LevelZeroIsDense(_Fair):
    name = "breaks-level-zero-is-dense"

    def prepare(self, state):
        self.factor = 1 / state.level  # here
        super().prepare(state)


class Deterministic(_Fair):  # here
    name = "breaks-deterministic"

    def prepare(self, state):
        generator = torch.Generator()
        generator.seed()
        state.masks = random_masks(state.prunable, state.level, generator=generator)


class SeedMatters(_Fair):  # here
    name = "breaks-seed-matters"

    def prepare(self, state):
        generator = torch.Generator().manual_seed(state.generator.initial_seed())
        state.masks = random_masks(state.prunable, state.level, generator=generator)


class Reloads(_Fair):
    name = "breaks-reloads"

    def finish(self, state):  # here
        for module in state.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.5


class Compacts(_Fair):
    name = "breaks-compacts"
    structure = "neuron"

    def finish(self, state):  # here
        """Has removed single weights."""


class TakesAnyBatch(_Fair):
    name = "breaks-takes-any-batch"

    def prepare(self, state):
        super().prepare(state)
        for images, _ in state.train_batches():
            self.mean = images.view(len(images), -1).mean(1)  # here


class TakesRowsAndTargets(_Fair):
    name = "breaks-takes-rows-and-targets"

    def prepare(self, state):
        super().prepare(state)
        for images, _ in state.train_batches():
            _, self.channels, _, _ = images.shape  # here


class SupportsAgrees(_Fair):
    name = "breaks-supports-agrees"

    def supports(self, model, data):  # here
        return True

    def prepare(self, state):
        super().prepare(state)
        if any(isinstance(module, nn.Conv2d) for module in state.model.modules()):
            raise NotApplicableError("convolutions are too hard")


class TrainsOnce(Method):
    name = "breaks-trains-once"
    shares_training = True
    steps = 0

    def after_step(self, state):
        self.steps += 1

    def finish(self, state):  # here
        wanted = magnitude_masks if self.steps else self._by_chance
        state.masks = wanted(state.prunable, state.level)

    def _by_chance(self, weights, level):
        return random_masks(weights, level, generator=torch.Generator().manual_seed(0))


class KeepsItsDonor(_Fair):
    name = "breaks-keeps-its-donor"

    def mask_source(self):
        return "random"

    def finish(self, state):
        for mask in state.donor.values():
            mask.copy_(mask.flip(0))  # here

"""What the observer sees of a run: the ways of breaking a rule that are not in the plug-in file."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from robench.conformance import RULES, Subject, check_rule
from robench.conformance.method_run import STEPS, Setting, as_planned
from robench.data import load
from robench.methods.base import Method
from robench.methods.masks import Masks, magnitude_masks
from robench.plugin_files import load_plugin


class Fair(Method):
    name = "fair"

    def prepare(self, state):
        state.masks = magnitude_masks(state.prunable, state.level)


def first_layer(state):
    return next(module for module in state.model.modules() if isinstance(module, nn.Linear))


class DefaultDtype(Fair):
    rule, words = "restores-globals", "the default dtype is torch.float64, was torch.float32"

    def finish(self, state):
        torch.set_default_dtype(torch.float64)  # here


class GradMode(Fair):
    rule, words = "restores-globals", "the grad mode is False, was True"

    def after_step(self, state):
        torch.set_grad_enabled(False)  # here


class NumpyDraws(Fair):
    rule, words = "restores-globals", "numpy's global generator changed"

    def after_epoch(self, state):
        np.random.random()  # here  # noqa: NPY002


class RandomDraws(Fair):
    rule, words = "restores-globals", "random's global generator changed"

    def penalty(self, state):
        random.random()  # here


class StaysInEvaluation(Fair):
    rule, words = "restores-globals", "the training mode of 'the network' is False, was True"

    def after_backward(self, state):
        state.model.eval()  # here


class SetsLearningRate(Fair):
    rule, words = "keeps-to-budget", "the optimiser's 'lr' is 1.0"

    def after_step(self, state):
        for group in state.optimiser.param_groups:
            group["lr"] = 1.0  # here


class SetsClock(Fair):
    rule, words = "keeps-to-budget", "state.budget is 3"

    def prepare(self, state):
        super().prepare(state)
        state.budget = 3  # here


class OwnOptimiser(Fair):
    rule, words = "keeps-to-budget", "a step of its own, with Adam"

    def finish(self, state):
        torch.optim.Adam(state.model.parameters()).step()  # here


class OfAnotherName(Fair):
    rule, words = "masks-in-order", "there is no prunable weight 'nobody'"

    def prepare(self, state):
        state.masks = Masks({"nobody": torch.ones(3, dtype=torch.bool)})  # here


class DeadLayer(Fair):
    rule, words = "masks-in-order", "leaves no weight"

    def finish(self, state):
        super().prepare(state)
        state.masks[list(state.prunable)[-1]].fill_(False)  # here


class Parametrised(Fair):
    rule, words = "leaves-no-trace", "the class of module"

    def finish(self, state):
        parametrize.register_parametrization(first_layer(state), "bias", nn.Identity())  # here


class Patched(Fair):
    rule, words = "leaves-no-trace", "'forward' is new"

    def prepare(self, state):
        super().prepare(state)
        layer = first_layer(state)
        layer.forward = type(layer).forward.__get__(layer)  # here


class Frozen(Fair):
    rule, words = "leaves-no-trace", "not trained"

    def finish(self, state):
        first_layer(state).bias.requires_grad_(False)  # here


class HookOnTensor(Fair):
    rule, words = "leaves-no-trace", "the number of hooks on tensor"

    def prepare(self, state):
        super().prepare(state)
        first_layer(state).weight.register_hook(lambda gradient: gradient)  # here


class CutsTheRest(Fair):
    rule, words = "spares-the-rest", "which is not prunable"

    def finish(self, state):
        for module in state.model.modules():
            if isinstance(module, nn.Linear):
                module.weight.data[0, 0] = 0  # here


class LoadsData(Fair):
    rule, words = "no-peeking", "a data set that it loaded itself"

    def prepare(self, state):
        super().prepare(state)
        load("plane")  # here


class Exits(Fair):
    rule, words = "hooks-run", "SystemExit"

    def after_step(self, state):
        raise SystemExit(3)  # here


class VectorPenalty(Fair):
    rule, words = "hooks-run", "from penalty() at step 0"

    def penalty(self, state):  # here
        return torch.zeros(3)


class Diverges(Fair):
    rule, words = "stays-finite", "training diverged"

    def penalty(self, state):  # here
        return -1e6 * next(iter(state.prunable.values())).square().sum()


FAULTY = [kind for kind in Fair.__subclasses__() if hasattr(kind, "rule")]


@pytest.fixture(scope="module", autouse=True)
def a_data_set_that_loads_quickly():
    load_plugin(Path(__file__).parents[1] / "plugins" / "sharing.py")


@pytest.mark.parametrize("kind", FAULTY, ids=lambda kind: kind.__name__)
def test_a_broken_rule_is_told_with_its_line(kind, line_marked_here):
    result = check_rule(RULES[kind.rule], Subject(kind))
    assert result.outcome == "fail", result.why
    assert kind.words in result.why
    assert result.where == line_marked_here(kind)


def test_global_state_is_as_before_whatever_the_method_did():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for kind in (DefaultDtype, GradMode, NumpyDraws):
        check_rule(RULES["restores-globals"], Subject(kind))
    assert torch.get_default_dtype() is torch.float32
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


class Greedy(Fair):
    """Goes through the data after every step."""

    def after_step(self, state):
        with torch.no_grad():
            for images, _ in state.train_batches():
                state.model(images)


class Thorough(Fair):
    """Takes two gradients of one batch after every step."""

    def prepare(self, state):
        super().prepare(state)
        self.images, _ = next(state.train_batches())

    def after_step(self, state):
        state.model(self.images)
        state.model(self.images)


@pytest.mark.parametrize(
    ("kind", "batches", "gradients"),
    [(Greedy, 2 * STEPS * 5, 0), (Thorough, 1, 4 * STEPS)],  # five batches of 32 in 160 images
)
def test_probes_are_counted(kind, batches, gradients):
    result = check_rule(RULES["keeps-to-budget"], Subject(kind))
    assert result.outcome == "fail"
    assert f"{batches} batches and sends {gradients} through the network" in result.why


def test_a_fair_run_is_without_fault_and_ends_at_its_level():
    run = as_planned(Fair, None, Setting(network="grouped", level=0.9))
    assert run.faults == []
    assert run.result is not None
    assert run.result.level == pytest.approx(0.9, abs=1e-3)
    assert run.observer.forwards == 0
    assert not run.observer.is_drawing


def test_a_method_without_hooks_is_observed_too():
    run = as_planned(Idle, None, Setting(level=0.0))
    assert run.faults == []
    assert run.is_complete


class Idle(Method):
    name = "nothing"

"""The loop: what it shares between methods, what it holds, and what it refuses."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robench.errors import InputError, NotApplicableError, TrainingError
from robench.methods.base import Method
from robench.methods.masks import Masks, magnitude_masks
from robench.models.base import prunable
from robench.spec import Distortion
from robench.training.batches import Batches
from robench.training.schedules import learning_rate

CPU = torch.device("cpu")
NOISE = Distortion(kind="uniform-noise", levels=(0.1, 0.3), clean_share=0.5)


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_it_is_plain_training(network, run, digits, optimiser):
    """Bit for bit what a loop of five lines does."""
    recipe = {"optimiser": optimiser, "momentum": 0.8, "weight_decay": 1e-3, "warmup_steps": 3}
    model, reference = network(), network()
    result = run(model, recipe=recipe, learning_rate=0.01)

    from robench.spec import Recipe

    full = Recipe(batch_size=32, **recipe)
    kinds = {
        "sgd": partial(torch.optim.SGD, momentum=0.8),
        "adam": partial(torch.optim.Adam, betas=(0.8, 0.999)),
    }
    plain = kinds[optimiser](reference.parameters(), lr=0.01, weight_decay=1e-3, fused=True)
    batches = Batches(digits.train, 32, 1, CPU)
    losses = []
    for step in range(20):
        plain.param_groups[0]["lr"] = learning_rate(full, step, peak=0.01, steps=20)
        images, labels = batches.at(step)
        loss = F.cross_entropy(reference(images), labels)
        losses.append(loss.item())
        plain.zero_grad()
        loss.backward()
        plain.step()
    assert same(state_of(model), state_of(reference))
    assert result.losses == losses


def test_what_it_reports(network, run):
    model = network()
    result = run(model, "magnitude", level=0.75)
    assert (result.steps, result.samples, result.epochs) == (20, 640, 20 * 32 // 300)
    total = sum(weight.numel() for weight in prunable(model).values())
    assert result.level == round(0.75 * total) / total
    assert result.train_s > 0
    assert not model.training
    for name, weight in prunable(model).items():
        assert torch.equal(result.masks[name], weight != 0)


class Spy(Method):
    """Writes down everything that it is shown."""

    name = "spy"

    def __init__(self, params=None):
        super().__init__(params)
        self.calls = []

    def supports(self, model, data):
        self.data = data
        return True

    def prepare(self, state):
        self.rates = []
        self.note("prepare", state)

    def penalty(self, state):
        self.note("penalty", state)
        self.rates.append(state.learning_rate)

    def after_backward(self, state):
        self.note("after_backward", state)
        assert all(parameter.grad is not None for parameter in state.model.parameters())

    def after_step(self, state):
        self.note("after_step", state)

    def after_epoch(self, state):
        self.note("after_epoch", state)

    def finish(self, state):
        self.note("finish", state)
        assert state.model.training

    def note(self, hook, state):
        self.calls.append((hook, state.step, state.epoch))


def test_hooks_come_in_order_with_the_right_counts(network, run, digits):
    spy = Spy()
    run(network(), spy, steps=19)
    in_epoch = len(digits.train) // 32
    expected = [("prepare", 0, 0)]
    for step in range(19):
        epoch = step // in_epoch
        expected += [("penalty", step, epoch), ("after_backward", step, epoch)]
        expected += [("after_step", step + 1, epoch)]
        if (step + 1) % in_epoch == 0:
            expected += [("after_epoch", step + 1, epoch + 1)]
    assert spy.calls == [*expected, ("finish", 19, 19 // in_epoch)]
    assert len(set(spy.rates)) == 19


def test_a_method_is_shown_no_validation_or_test_data(network, run):
    spy = Spy()
    run(network(), spy)
    assert len(spy.data.train)
    assert len(spy.data.validation) == len(spy.data.test) == 0


class Prober(Method):
    """Goes through the training data now and then, and draws random numbers."""

    name = "prober"

    def after_step(self, state):
        for images, labels in state.train_batches():
            assert images.shape[0] == labels.shape[0] == 32
            assert images.dtype is torch.float32
        torch.randperm(5, generator=state.generator)


def test_probing_does_not_disturb_the_run(network, run):
    probed, plain = network(), network()
    run(probed, Prober(), steps=8)
    run(plain, steps=8)
    assert same(state_of(probed), state_of(plain))


class Dropping(nn.Sequential):
    """A network that draws random numbers in training."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Dropout(0.5), nn.Linear(1024, 10))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))


@pytest.mark.parametrize("method", ["dense", "random", "ssl", "halo"])
def test_two_runs_are_equal_and_global_generators_untouched(network, run, method):
    level = 0.0 if method == "dense" else 0.5
    first, second = Dropping(), Dropping()
    run(first, method, level=level, steps=8)
    torch.rand(3)
    before = torch.get_rng_state(), random.getstate()
    run(second, method, level=level, steps=8)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert same(state_of(first), state_of(second))


class MasksInPrepare(Method):
    """Masks what it is told to, once."""

    name = "masks-in-prepare"

    def prepare(self, state):
        state.masks = dict(magnitude_masks(state.prunable, state.level))


class LooksAtZeros(MasksInPrepare):
    """Checks at every turn that masked weights are zero."""

    name = "looks-at-zeros"

    def penalty(self, state):
        self.look(state)

    def after_step(self, state):
        self.look(state)

    def finish(self, state):
        self.look(state)

    def look(self, state):
        for name, mask in state.masks.items():
            assert not state.prunable[name][~mask].any()


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_masked_weights_are_zero_at_every_turn(network, run, optimiser):
    """Momentum and weight decay move masked weights; nobody ever sees it."""
    recipe = {"optimiser": optimiser, "weight_decay": 0.1}
    model = network()
    result = run(model, LooksAtZeros(), level=0.9, recipe=recipe)
    for name, mask in result.masks.items():
        weight = prunable(model)[name].detach()
        assert (weight[~mask] == 0).all()
        assert not torch.signbit(weight[~mask]).any()


class Shakes(MasksInPrepare):
    """Moves all weights after each step."""

    name = "shakes"

    def after_step(self, state):
        with torch.no_grad():
            for weight in state.prunable.values():
                weight.add_(0.01)


def test_masks_are_in_force_after_a_hook_that_moves_weights(network, run):
    assert run(network(), Shakes(), level=0.9).level == pytest.approx(0.9, abs=1e-4)


def test_masks_may_be_given(network, run):
    model = network()
    masks = Masks({"body.fc1.weight": torch.rand(16, 1024) > 0.5})
    before = {name: mask.clone() for name, mask in masks.items()}
    zeros = int((~masks["body.fc1.weight"]).sum())
    result = run(model, "dense", masks=masks, level=zeros / (16 * 1024 + 160))
    assert torch.equal(result.masks["body.fc1.weight"], before["body.fc1.weight"])


class Brings(Method):
    """Trains a scale of its own, beside the network or inside it."""

    name = "brings"

    def __init__(self, *, inside: bool, tidy: bool = True):
        super().__init__()
        self.inside, self.tidy = inside, tidy

    def prepare(self, state):
        self.scale = nn.Parameter(torch.tensor(1.0))
        if self.inside:
            state.model.scale = self.scale
        state.add_parameters([self.scale])

    def penalty(self, state):
        return self.scale.square()

    def finish(self, state):
        if self.inside and self.tidy:
            del state.model.scale


@pytest.mark.parametrize("inside", [True, False])
def test_parameters_that_a_method_brings_are_trained(network, run, inside):
    method = Brings(inside=inside)
    recipe = {"schedule": "constant", "momentum": 0.0, "weight_decay": 0.1}
    run(network(), method, recipe=recipe, learning_rate=0.01, steps=10)
    assert method.scale.item() == pytest.approx((1 - 0.01 * 2.1) ** 10)


def test_parameters_that_a_method_leaves_behind_are_named(network, run):
    with pytest.raises(TrainingError, match="'scale' was not there and is") as caught:
        run(network(), Brings(inside=True, tidy=False))
    assert "'brings' changed the network" in str(caught.value)


class Reshapes(Method):
    """Cuts a neuron out of the network."""

    name = "reshapes"

    def finish(self, state):
        layer = state.model.body.fc1
        layer.weight = nn.Parameter(layer.weight[1:].detach())


def test_a_network_of_another_shape_is_refused(network, run):
    with pytest.raises(TrainingError, match=r"was \(16, 1024\) and is \(15, 1024\)"):
        run(network(), Reshapes())


class Misses(Method):
    """Promises nothing, and keeps it."""

    name = "misses"


def test_a_missed_level_is_refused_with_the_count(network, run):
    total = 16 * 1024 + 160
    with pytest.raises(TrainingError) as caught:
        run(network(), Misses(), level=0.5)
    text = str(caught.value)
    assert f"'misses' left 0 of {total} prunable weights zero" in text
    assert f"{total // 2} ± {total // 1000}" in text


def test_zeros_that_the_network_came_with_are_not_held_against_dense(network, run):
    model = network()
    with torch.no_grad():
        model.body.fc2.weight.zero_()
        model.body.fc1.weight.zero_()  # no gradient reaches either: they stay
    assert run(model).level == 1.0


class Nearly(Method):
    """Misses the level by so many zeros."""

    name = "nearly"

    def __init__(self, by: int):
        super().__init__()
        self.by = by

    def finish(self, state):
        total = sum(weight.numel() for weight in state.prunable.values())
        level = (round(state.level * total) + self.by) / total
        state.masks = magnitude_masks(state.prunable, level)


def test_the_level_may_be_missed_by_a_thousandth(network, run):
    for by in (-16, 16):
        run(network(), Nearly(by), level=0.5, steps=1)
    for by in (-17, 17):
        with pytest.raises(TrainingError, match="'nearly' left"):
            run(network(), Nearly(by), level=0.5, steps=1)


class Cheats(Method):
    """Asks for more steps and a lower level than it was given."""

    name = "cheats"

    def prepare(self, state):
        state.budget, state.level = 1000, 0.0

    def after_step(self, state):
        state.step = 0


def test_the_clock_and_the_level_are_the_loops(network, run):
    steps = []
    with pytest.raises(TrainingError, match=r"the level 0\.5"):
        run(network(), Cheats(), level=0.5, progress=lambda step, *_: steps.append(step))
    assert 0 < len(steps) <= 20


class Declines(Method):
    """Has nothing to do."""

    name = "declines"

    def supports(self, model, data):
        return "there are no attention heads"


def test_a_method_may_decline(network, run):
    with pytest.raises(NotApplicableError, match="'declines' does not apply here: there are no"):
        run(network(), Declines())


def test_training_on_a_distortion(network, run, digits):
    seen = []

    def fake(images, kind, level, *, seed, index):
        seen.append((kind, level, len(images)))
        return images

    distorted, plain, real = network(), network(), network()
    run(distorted, recipe={"distortion": NOISE}, degrade=fake)
    run(plain)
    assert same(state_of(distorted), state_of(plain))  # the fake returns what it was given
    assert {kind for kind, _, _ in seen} == {"uniform-noise"}
    assert {level for _, level, _ in seen} == {0.1, 0.3}
    assert sum(count for _, _, count in seen) == pytest.approx(320, abs=60)
    run(real, recipe={"distortion": NOISE})
    assert not same(state_of(real), state_of(plain))


def test_few_images_are_one_batch(network, run, digits):
    few = replace(digits, train=digits.train.first(12))
    result = run(network(), data=few, steps=3)
    assert (result.samples, result.epochs) == (36, 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"level": 1.0}, "level 1.0"),
        ({"level": -0.1}, "level -0.1"),
        ({"steps": 0}, "0 steps"),
        ({"seeds": {"order": 1}}, "'method' is missing"),
        ({"recipe": {"distortion": NOISE}, "seeds": {"order": 1, "method": 1}},
         "'distortion' is missing"),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_named(network, run, options, text):
    with pytest.raises(InputError, match=text):
        run(network(), **options)


def test_a_network_without_prunable_weights_is_refused_in_words(run):
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(10))

        def forward(self, images):
            return images.flatten(1)[:, :10] * self.scale

    with pytest.raises(NotApplicableError, match="Scale has no prunable weight"):
        run(Scale(), "magnitude", level=0.5)

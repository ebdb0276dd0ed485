"""The optimiser: what the recipe says, by kernels that take more for granted than others."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from robench.spec import Recipe
from robench.training.optimiser import optimiser

PLAIN = {
    "sgd": lambda parameters, recipe: torch.optim.SGD(
        parameters, lr=0.05, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    ),
    "adam": lambda parameters, recipe: torch.optim.Adam(
        parameters, lr=0.05, betas=(recipe.momentum, 0.999), weight_decay=recipe.weight_decay
    ),
    "rmsprop": lambda parameters, recipe: torch.optim.RMSprop(
        parameters, lr=0.05, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    ),
}


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(48, 4), nn.Linear(4, 2))


def step_both(chosen, model, other, gradients):
    """One step of both optimisers with the same gradients; `None` leaves a parameter without."""
    for own, plain, gradient in zip(model.parameters(), other.parameters(), gradients, strict=True):
        own.grad = gradient
        plain.grad = None if gradient is None else gradient.clone()
    for each in chosen:
        each.step()
    for own, plain in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(own, plain)


def pair(model, recipe):
    other = copy.deepcopy(model)
    plain = PLAIN[recipe.optimiser](other.parameters(), recipe)
    return (optimiser(model, recipe, 0.05), plain), other


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.01)])
def test_it_takes_the_steps_of_the_plain_one(model, kind, momentum, decay):
    recipe = Recipe(optimiser=kind, momentum=momentum, weight_decay=decay)
    chosen, other = pair(model, recipe)
    for _ in range(5):
        step_both(chosen, model, other, [torch.randn_like(p) for p in model.parameters()])


@pytest.mark.parametrize("kind", PLAIN)
def test_a_gradient_may_lie_in_memory_as_it_likes(model, kind):
    """Transposed, expanded, channels last: plain kernels go by indices, fused ones by address."""
    chosen, other = pair(model, Recipe(optimiser=kind))
    for _ in range(3):
        gradients = [torch.randn_like(parameter) for parameter in model.parameters()]
        gradients[0] = gradients[0].contiguous(memory_format=torch.channels_last)
        gradients[2] = torch.randn(48, 4).t()
        gradients[3] = torch.ones(()).expand(4)
        step_both(chosen, model, other, gradients)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_parameter_may_have_its_first_gradient_late(model, kind):
    chosen, other = pair(model, Recipe(optimiser=kind, weight_decay=0.01))
    for step in range(4):
        gradients = [torch.randn_like(parameter) for parameter in model.parameters()]
        gradients[1] = None if step < 2 else gradients[1]
        step_both(chosen, model, other, gradients)


def test_momentum_can_be_read_and_edited(model):
    (own, plain), other = pair(model, Recipe(momentum=0.9))
    step_both((own, plain), model, other, [torch.randn_like(p) for p in model.parameters()])
    for each, parameters in ((own, model.parameters()), (plain, other.parameters())):
        for parameter in parameters:
            each.state[parameter]["momentum_buffer"].mul_(0.5)
    step_both((own, plain), model, other, [torch.randn_like(p) for p in model.parameters()])
    for each, parameters in ((own, model.parameters()), (plain, other.parameters())):
        del each.state[next(iter(parameters))]
    step_both((own, plain), model, other, [torch.randn_like(p) for p in model.parameters()])


def test_parameters_can_be_added_and_learning_rates_changed(model):
    (own, plain), other = pair(model, Recipe(momentum=0.9, weight_decay=0.01))
    extras = [nn.Parameter(torch.ones(7)) for _ in range(2)]
    for each, extra in zip((own, plain), extras, strict=True):
        each.add_param_group({"params": [extra]})
    for step in range(3):
        for each, extra in zip((own, plain), extras, strict=True):
            extra.grad = torch.arange(7.0)
            for group in each.param_groups:
                group["lr"] = 0.1 / (step + 1)
        step_both((own, plain), model, other, [torch.randn_like(p) for p in model.parameters()])
    torch.testing.assert_close(*extras)

"""The lasso: both updates, who is penalised, and one network for all levels."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError, ParameterError
from robench.methods.base import Method, TrainState, make
from robench.methods.masks import count_zeros
from robench.models.base import prunable
from robench.training.loop import RunSettings, finish

RUN = {"learning_rate": 0.05, "seeds": {"order": 1, "method": 2}, "steps": 20}


class ByAutograd(Method):
    """The lasso as one would write it down."""

    name = "by-autograd"

    def penalty(self, state):
        return 0.01 * sum(parameter.abs().sum() for parameter in state.model.parameters())


def test_the_subgradient_is_that_of_the_penalty(network, run):
    own, other = network("mlp", widths=[16]), network("mlp", widths=[16])
    run(own, "l1", {"strength": 0.01}, level=0.0, weight_decay=1e-3)
    run(other, ByAutograd(), level=0.0, weight_decay=1e-3)
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def state_of(model, momentum, learning_rate=0.01):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)
    return TrainState(
        model=model,
        prunable=prunable(model),
        level=0.0,
        budget=1,
        optimiser=optimiser,
        generator=torch.Generator(),
        schedule=lambda _: learning_rate,
        batches=lambda: iter(()),
    )


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("update", ["subgrad", "prox"])
def test_both_updates_come_to_rest_at_the_lasso(update, momentum):
    """Of a (w - c)² / 2 + ξ |w| the minimiser is c moved towards zero by ξ / a."""
    curvature, strength = 2.0, 0.4
    centres = torch.tensor([[1.0, -0.7, 0.3, 0.15, -0.1, 0.0]])
    model = nn.Linear(6, 1, bias=False)
    state = state_of(model, momentum)
    method = make("l1", {"strength": strength, "update": update})
    method.prepare(state)
    for _ in range(600):
        state.optimiser.zero_grad()
        (curvature * (model.weight - centres).square() / 2).sum().backward()
        method.after_backward(state)
        state.optimiser.step()
        method.after_step(state)
    found = model.weight.detach()
    expected = centres.sign() * (centres.abs() - strength / curvature).clamp(min=0)
    chatter = 0.01 * strength / (1 - momentum) if update == "subgrad" else 1e-5
    assert (found - expected)[:, :3].abs().max() < 1e-5
    assert (found - expected).abs().max() <= 2 * chatter
    if update == "prox":
        assert torch.equal(found[:, 3:], torch.zeros(1, 3))


def test_a_proximal_step_is_as_long_as_momentum_makes_the_others():
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -0.15, 0.1]]))
        model.bias.fill_(-0.5)
    method = make("l1", {"strength": 0.4, "update": "prox"})
    state = state_of(model, momentum=0.8, learning_rate=0.1)  # lr ξ / (1 - μ) = 0.2
    method.prepare(state)
    method.after_backward(state)
    assert model.weight.grad is None
    method.after_step(state)
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[0.3, 0.0, 0.0]]))
    assert model.bias.item() == pytest.approx(-0.3)


def test_only_the_proximal_update_makes_exact_zeros(network, run):
    natives = {}
    for update in ("subgrad", "prox"):
        model = network("mlp", widths=[16])
        result = run(model, "l1", {"strength": 0.02, "update": update}, level=0.0, steps=60)
        natives[update] = result.native
        zeros = count_zeros(prunable(model)) / sum(w.numel() for w in prunable(model).values())
        assert (zeros > 0.3) == (update == "prox")
        if update == "prox":
            assert result.native == zeros
    assert natives["prox"] > natives["subgrad"] > 0.3  # the chatter takes time to fade
    dense = network("mlp", widths=[16])
    assert run(dense, "l1", {"strength": 1e-9}, level=0.0).native < 0.1


def test_one_network_serves_all_levels(network, run, digits):
    """What `finish` leaves of a copy is what training for that level would have left."""
    from robench.spec import Recipe

    trained = network("mlp", widths=[16])
    run(trained, "l1", level=0.0)
    before = None
    for level in (0.5, 0.9, 0.98):
        own, anew = copy.deepcopy(trained), network("mlp", widths=[16])
        result = finish(
            own, make("l1"), digits, RunSettings(Recipe(batch_size=32), level=level, **RUN)
        )
        run(anew, "l1", level=level)
        assert all(
            torch.equal(a, b) for a, b in zip(own.parameters(), anew.parameters(), strict=True)
        )
        total = sum(weight.numel() for weight in prunable(own).values())
        assert count_zeros(prunable(own)) == round(level * total)
        assert before is None or all((result.masks[name] <= before[name]).all() for name in before)
        before = result.masks
        assert result.native == negligible(trained)


def negligible(model):
    from robench.methods.tools.lasso import negligible_share

    return negligible_share(prunable(model))


def test_scope_says_who_is_penalised(network, run):
    """Where nothing else pulls, what is penalised shrinks."""
    model, dense = (network("convnet", widths=[3, 4]) for _ in range(2))
    recipe = {"batch_size": 8, "steps": 4, "level": 0.0}
    run(model, "l1", {"scope": "conv", "strength": 0.1}, **recipe)
    run(dense, "dense", **recipe)
    with pytest.raises(NotApplicableError, match="take `scope: all`"):
        run(network("mlp", widths=[8]), "l1", {"scope": "conv"}, level=0.5)
    convolutions = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    others = [m.weight for m in dense.modules() if isinstance(m, nn.Conv2d)]
    assert sum(w.abs().sum() for w in convolutions) < 0.95 * sum(w.abs().sum() for w in others)


@pytest.mark.parametrize("strength", [0, -1e-4, float("nan"), float("inf")])
def test_a_strength_must_be_positive_and_finite(strength):
    with pytest.raises(ParameterError, match="strength"):
        make("l1", {"strength": strength})

"""HALO: gradients, what it is equivalent to, the coefficients' own training, the final mask."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import nn

from robench.errors import NotApplicableError, ParameterError, TrainingError
from robench.methods import halo as module
from robench.methods.base import TrainState, make
from robench.methods.halo import Halo, gradients, penalty
from robench.methods.masks import count_zeros
from robench.methods.tools.lasso import negligible_share
from robench.models.base import prunable
from robench.spec import Recipe
from robench.training.loop import RunSettings, finish

CONSTANT = {"schedule": "constant", "momentum": 0.0}
NEARLY_ZERO = 1e-12
RUN = {"learning_rate": 0.05, "seeds": {"order": 1, "method": 2}, "steps": 20}


def own_gradients(weight, coefficient, *, xi, psi):
    """Those by w and by λ."""
    by_weight, by_coefficient = torch.empty_like(weight), torch.empty_like(weight)
    gradients(weight, coefficient, xi=xi, psi=psi, by_weight=by_weight,
              by_coefficient=by_coefficient)  # fmt: skip
    return xi * by_weight, by_coefficient


def autograd_gradients(weight, coefficient, *, xi, psi):
    pair = [tensor.clone().requires_grad_() for tensor in (weight, coefficient)]
    return torch.autograd.grad(penalty(*pair, xi=xi, psi=psi), pair)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), xi=st.floats(0, 1), psi=st.floats(0, 1))
def test_gradients_are_those_of_the_penalty(seed, xi, psi):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    coefficient = torch.rand(5, 4, generator=generator, dtype=torch.float64) + 0.01
    expected = autograd_gradients(weight, coefficient, xi=xi, psi=psi)
    own = own_gradients(weight, coefficient, xi=xi, psi=psi)
    for given_gradient, autograd_gradient in zip(own, expected, strict=True):
        torch.testing.assert_close(given_gradient, autograd_gradient)


def test_the_penalty_is_the_same_for_either_sign_of_the_coefficients():
    """So that nothing is lost where they are kept positive."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(20, generator=generator)
    coefficient = torch.rand(20, generator=generator) + 0.1
    strengths = {"xi": 0.3, "psi": 0.2}
    assert penalty(weight, coefficient, **strengths) == penalty(weight, -coefficient, **strengths)
    positive = autograd_gradients(weight, coefficient, **strengths)
    negative = autograd_gradients(weight, -coefficient, **strengths)
    assert torch.equal(positive[0], negative[0])
    assert torch.equal(positive[1], -negative[1])


def test_a_weight_of_zero_is_left_alone():
    by_weight, by_coefficient = own_gradients(torch.zeros(3), torch.full((3,), 0.01), xi=1, psi=0.5)
    assert by_weight.tolist() == [0, 0, 0]
    assert by_coefficient.tolist() == [0.5, 0.5, 0.5]


def profile(weight, xi, psi, decay):
    """The best λ for a weight, and the penalty there."""

    def at(coefficient: float) -> float:
        pair = torch.tensor(weight).double(), torch.tensor(coefficient).double()
        return float(penalty(*pair, xi=xi, psi=psi)) + decay / 2 * coefficient**2

    best = minimize_scalar(at, bounds=(1e-4, 5), method="bounded", options={"xatol": 1e-11})
    return best.x, best.fun


@pytest.mark.parametrize("weight", [0.001, 0.1, 2.0])
def test_the_best_coefficient_makes_it_a_bridge_penalty(weight):
    """Profiled over λ the penalty is 3 / 2^(2/3) ξ^(1/3) ψ^(2/3) |w|^(1/3)."""
    xi, psi = 1e-2, 3e-1
    found, value = profile(weight, xi, psi, decay=0.0)
    best = (2 * xi * weight / psi) ** (1 / 3)
    assert found == pytest.approx(best, rel=1e-4)
    bridge = 3 / 2 ** (2 / 3) * xi ** (1 / 3) * psi ** (2 / 3) * weight ** (1 / 3)
    assert value == pytest.approx(bridge, rel=1e-6)
    pair = torch.tensor([weight], dtype=torch.float64), torch.tensor([best], dtype=torch.float64)
    assert own_gradients(*pair, xi=xi, psi=psi)[1].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("weight", [0.001, 0.1, 2.0])
def test_where_weight_decay_governs_it_is_the_square_root_penalty(weight):
    """With κ in place of ψ the profiled penalty is √(2ξκ|w|)."""
    xi, decay = 1e-2, 3e-1
    found, value = profile(weight, xi, 0.0, decay)
    best = (2 * xi * weight / decay) ** (1 / 4)
    assert found == pytest.approx(best, rel=1e-4)
    assert value == pytest.approx((2 * xi * decay * weight) ** 0.5, rel=1e-6)
    pair = torch.tensor([weight], dtype=torch.float64), torch.tensor([best], dtype=torch.float64)
    slope = own_gradients(*pair, xi=xi, psi=0.0)[1].item() + decay * best
    assert slope == pytest.approx(0, abs=1e-12)


def state_of(model, *, learning_rate=0.01, momentum=0.0, weight_decay=0.0):
    return TrainState(
        model=model,
        prunable=prunable(model),
        level=0.0,
        budget=100,
        optimiser=torch.optim.SGD(
            model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay
        ),
        generator=torch.Generator(),
        schedule=lambda _: learning_rate,
        batches=lambda: iter(()),
    )


@pytest.mark.parametrize(("psi", "decay"), [(0.3, 0.0), (0.0, 0.3), (0.3, 1e-3)])
def test_trained_beside_weights_that_stand_still_coefficients_find_their_best(psi, decay):
    weights = torch.tensor([[0.01, -0.1, 0.5, -2.0]])
    model = nn.Linear(4, 1, bias=False).double()
    method = make("halo", {"xi": 1e-2, "psi": psi, "lambda_floor": 1e-3})
    state = state_of(model, learning_rate=0.02, momentum=0.5, weight_decay=decay)
    method.prepare(state)
    for _ in range(2000):
        with torch.no_grad():
            model.weight.copy_(weights)
        state.optimiser.zero_grad()
        method.after_backward(state)
        state.optimiser.step()
        method.after_step(state)
    expected = [[profile(abs(weight), 1e-2, psi, decay)[0] for weight in weights[0].tolist()]]
    torch.testing.assert_close(
        method.coefficients["weight"], torch.tensor(expected).double(), rtol=1e-3, atol=1e-4
    )


class Frozen(Halo):
    """HALO whose coefficients never move."""

    name = "frozen"

    def after_backward(self, state):
        super().after_backward(state)
        state.optimiser.param_groups[-1]["params"][0].grad = None


@pytest.mark.parametrize(("start", "exactly"), [(1.0, True), (0.5, True), (3.0, False)])
def test_with_frozen_coefficients_it_is_the_lasso(network, run, start, exactly):
    frozen, lasso = network("mlp", widths=[16]), network("mlp", widths=[16])
    run(frozen, Frozen(Frozen.Params(xi=0.01, psi=0.0, lambda_init=start)), level=0.0)
    run(lasso, "l1", {"strength": 0.01 / start**2}, level=0.0)
    for own, other in zip(frozen.parameters(), lasso.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=1e-5)
        assert torch.equal(own, other) or not exactly


@settings(max_examples=15, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=6),
    block=st.integers(3, 300),
)
def test_how_the_work_is_cut_makes_no_difference(shapes, block):
    generator = torch.Generator().manual_seed(0)
    weights = {
        str(place): nn.Parameter(torch.randn(shape, generator=generator))
        for place, shape in enumerate(shapes)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module._BLOCK, "cpu", block)
        params = Halo.Params(xi=0.3)
        coefficients = module._Coefficients(weights, params, psi=0.2)
        with torch.no_grad():
            coefficients.tensor.copy_(torch.rand(coefficients.tensor.shape) + 0.1)
        by_name = coefficients.by_name()
        coefficients.add_gradients(to_weights=True)
    for name, weight in weights.items():
        expected = autograd_gradients(weight.detach(), by_name[name], xi=0.3, psi=0.2)
        torch.testing.assert_close(weight.grad, expected[0])
        own = coefficients._named(coefficients.tensor.grad)[name]
        torch.testing.assert_close(own, expected[1])


def test_gradients_of_the_loss_are_added_to_and_strides_respected():
    weight = nn.Parameter(torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last))
    weight.grad = torch.ones(4, 3, 5, 5)
    coefficients = module._Coefficients({"weight": weight}, Halo.Params(xi=0.3), psi=0.2)
    coefficients.add_gradients(to_weights=True)
    torch.testing.assert_close(weight.grad, 1 + 0.3 * weight.detach().sign())


def test_it_takes_hardly_more_memory_than_its_coefficients():
    """Beside the optimiser's, what it holds is λ, its gradient and at most 0.6 times λ."""
    model = nn.Sequential(nn.Linear(784, 300), nn.Linear(300, 100), nn.Linear(100, 10))
    weights = dict(model.named_parameters())
    coefficients = module._Coefficients(weights, Halo.Params(), psi=1e-3)
    coefficients.add_gradients(to_weights=True)
    held = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for block in coefficients._blocks
        for tensor in (block.coefficient, block.by_coefficient, block.by_weight, block._gathered)
    }
    parameters = sum(4 * weight.numel() for weight in weights.values())
    momentum = parameters
    assert sum(held.values()) + momentum <= 3.6 * parameters


def test_weight_decay_reaches_the_coefficients(network, run):
    halo = make("halo", {"xi": NEARLY_ZERO, "psi": 0})
    run(network("mlp", widths=[8]), halo, level=0.5, steps=10, weight_decay=0.2, **CONSTANT)
    for coefficient in halo.coefficients.values():
        torch.testing.assert_close(coefficient, torch.full_like(coefficient, 0.99**10))


def test_coefficients_follow_the_schedule(network, run):
    halo = make("halo", {"xi": NEARLY_ZERO, "psi": 0.1})
    recipe = {"schedule": "step", "milestones": (0.5,), "momentum": 0.0}
    run(network("mlp", widths=[8]), halo, level=0.5, steps=10, **recipe)
    travelled = 0.1 * (5 * 0.05 + 5 * 0.005)
    for coefficient in halo.coefficients.values():
        torch.testing.assert_close(coefficient, torch.full_like(coefficient, 1 - travelled))


def test_coefficients_have_momentum(network, run):
    halo = make("halo", {"xi": NEARLY_ZERO, "psi": 0.1})
    run(network("mlp", widths=[8]), halo, level=0.5, steps=2, schedule="constant", momentum=0.5)
    expected = 1 - 0.05 * 0.1 * (1 + 1.5)
    for coefficient in halo.coefficients.values():
        torch.testing.assert_close(coefficient, torch.full_like(coefficient, expected))


@pytest.mark.parametrize("start", [1.0, 3.0])
def test_a_fitted_psi_takes_a_third_of_the_way(network, run, start):
    halo = make("halo", {"xi": NEARLY_ZERO, "lambda_init": start})
    result = run(network("mlp", widths=[8]), halo, level=0.5, steps=20, **CONSTANT)
    assert result.notes["psi"] == pytest.approx(3 * start / (20 * 0.05))
    assert result.notes["lambda"]["share_at_floor"] == 1.0


def test_coefficients_stay_at_or_above_their_floor(network, run):
    halo = make("halo", {"xi": 1e-4, "psi": 10.0, "lambda_floor": 0.02})
    run(network("mlp", widths=[8]), halo, level=0.5)
    assert min(float(value.min()) for value in halo.coefficients.values()) >= 0.02 - 1e-7


def test_the_record_says_how_the_coefficients_are_distributed(network, run):
    halo = make("halo", {"xi": 1e-3, "psi": 0.5})
    notes = run(network("mlp", widths=[8]), halo, level=0.5).notes
    values = torch.cat([value.flatten() for value in halo.coefficients.values()])
    quantiles = notes["lambda"]["quantiles"]
    assert list(quantiles) == ["0.0", "0.05", "0.25", "0.5", "0.75", "0.95", "1.0"]
    for share, quantile in quantiles.items():
        assert quantile == pytest.approx(float(values.quantile(float(share))))
    assert notes["lambda"]["share_at_floor"] == pytest.approx(
        float((values <= 0.01).float().mean())
    )


def test_scope_says_who_is_penalised(network, run):
    model = network("convnet", widths=[3, 4])
    everywhere, convolutions = make("halo"), make("halo", {"scope": "conv"})
    for halo in (everywhere, convolutions):
        run(network("convnet", widths=[3, 4]), halo, level=0.5, steps=2, batch_size=8)
    shapes = {
        f"{name}.{own}": parameter.shape
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
        for own, parameter in layer.named_parameters()
    }
    assert {name: value.shape for name, value in everywhere.coefficients.items()} == shapes
    inside = {name for name in shapes if "conv" in name}
    assert convolutions.coefficients.keys() == inside < shapes.keys()
    with pytest.raises(NotApplicableError, match="no convolution"):
        run(network("mlp", widths=[8]), "halo", {"scope": "conv"}, level=0.5)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.98])
def test_the_mask_keeps_the_largest_weights_and_is_exact(network, run, level):
    model = network("mlp", widths=[16])
    dense = network("mlp", widths=[16])
    run(model, "halo", level=level)
    run(dense, "halo", level=0.0)  # the same training, but for the mask at the end
    total = sum(weight.numel() for weight in prunable(model).values())
    assert count_zeros(prunable(model)) == round(level * total)
    kept = [
        (weight.detach(), trained.detach())
        for weight, trained in zip(prunable(model).values(), prunable(dense).values(), strict=True)
    ]
    smallest_kept = min(float(w[w != 0].abs().min()) for w, _ in kept)
    largest_gone = max(float(t[w == 0].abs().max()) for w, t in kept)
    assert smallest_kept >= largest_gone
    assert all(torch.equal(w[w != 0], t[w != 0]) for w, t in kept)  # nothing trained after it


def test_a_fresh_instance_brings_the_trained_network_to_any_level(network, run, digits):
    trained = network("mlp", widths=[16])
    native = run(trained, "halo", {"xi": 1e-4}, level=0.0).native
    assert native == negligible_share(prunable(trained)) > 0
    for level in (0.5, 0.95):
        own, anew = copy.deepcopy(trained), network("mlp", widths=[16])
        recipe = Recipe(batch_size=32)
        result = finish(own, make("halo"), digits, RunSettings(recipe, level=level, **RUN))
        assert result.native == native
        assert run(anew, "halo", {"xi": 1e-4}, level=level).native == native
        pairs = list(zip(own.parameters(), anew.parameters(), strict=True))
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
        finish(own, make("halo"), digits, RunSettings(recipe, level=level, **RUN))  # twice is once
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_with_a_proximal_step_there_are_exact_zeros(network, run):
    shares = {}
    for update in ("subgrad", "prox"):
        model = network("mlp", widths=[16])
        result = run(model, "halo", {"xi": 1e-4, "update": update}, level=0.0, steps=60)
        total = sum(weight.numel() for weight in prunable(model).values())
        shares[update] = count_zeros(prunable(model)) / total
        if update == "prox":
            assert result.native == shares["prox"]
    assert shares["subgrad"] == 0.0
    assert shares["prox"] > 0.3


def test_the_proximal_step_is_as_long_as_momentum_makes_the_others():
    """Every weight moves towards zero by lr / (1 - μ) ξ / λ², and not beyond it."""
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -0.15, 0.1]]))
        model.bias.fill_(-0.9)
    state = state_of(model, learning_rate=0.1, momentum=0.8)
    method = make("halo", {"xi": 0.1, "psi": 0.0, "lambda_init": 0.5, "update": "prox"})
    method.prepare(state)
    method.after_backward(state)
    assert model.weight.grad is None
    method.after_step(state)
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[0.3, 0.0, 0.0]]))
    assert model.bias.item() == pytest.approx(-0.7)

    with torch.no_grad():  # λ has been thrown below its floor by the step just taken
        method._coefficients.tensor.fill_(-1e-3)
        model.bias.fill_(900.0)
    method.after_step(state)
    assert model.bias.item() == pytest.approx(900 - 0.5 * 0.1 / 0.01**2)


def test_coefficients_that_run_away_are_named(network, run):
    halo = {"xi": 1e-3, "psi": 5.0, "lambda_floor": 1e-20}
    with pytest.raises(TrainingError) as caught:
        run(network("mlp", widths=[8]), "halo", halo, level=0.5, steps=200)
    message = str(caught.value)
    assert "coefficients λ of 'body." in message
    assert "step " in message
    assert "of 200" in message
    assert "lower `xi` (it is 0.001)" in message
    assert "`lambda_floor` (it is 1e-20)" in message


def test_a_coefficient_that_is_not_a_number_is_named_at_the_end(network, run):
    class Spoilt(Halo):
        name = "spoilt"

        def after_backward(self, state):
            super().after_backward(state)
            if state.step == state.budget - 1:
                self._coefficients._named(self._coefficients._gradient)["body.fc1.weight"][0] = (
                    float("nan")
                )

    with pytest.raises(TrainingError, match=r"coefficients λ of 'body\.fc1\.weight'"):
        run(network("mlp", widths=[8]), Spoilt(), level=0.5)


@pytest.mark.parametrize(
    "params",
    [{"xi": 0}, {"xi": float("nan")}, {"psi": -1}, {"lambda_floor": 0}, {"lambda_init": 0}],
)
def test_strengths_without_sense_are_refused(params):
    with pytest.raises(ParameterError, match=next(iter(params))):
        make("halo", params)

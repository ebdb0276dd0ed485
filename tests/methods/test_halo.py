"""HALO: gradients, the coefficients' own training, and the final mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import nn

from robench.errors import NotApplicableError
from robench.methods.base import Method, make
from robench.methods.halo import Halo, penalty, penalty_gradients
from robench.models.base import prunable

CONSTANT = {"schedule": "constant", "momentum": 0.0}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), xi=st.floats(0, 1), psi=st.floats(0, 1))
def test_gradients_are_those_of_the_penalty(seed, xi, psi):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(5, 4, generator=generator, dtype=torch.float64).requires_grad_()
    coefficient = torch.randn(5, 4, generator=generator, dtype=torch.float64).requires_grad_()
    expected = torch.autograd.grad(
        penalty(weight, coefficient, xi=xi, psi=psi), [weight, coefficient]
    )
    own = penalty_gradients(weight.detach(), coefficient.detach(), xi=xi, psi=psi)
    for given_gradient, autograd_gradient in zip(own, expected, strict=True):
        torch.testing.assert_close(given_gradient, autograd_gradient)


def test_a_weight_of_zero_is_left_alone():
    by_weight, by_coefficient = penalty_gradients(torch.zeros(3), torch.ones(3), xi=1.0, psi=0.5)
    assert by_weight.tolist() == [0, 0, 0]
    assert by_coefficient.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("weight", [0.001, 0.1, 2.0])
def test_the_best_coefficient_makes_it_a_bridge_penalty(weight):
    """Profiled over λ the penalty is 3 / 2^(2/3) ξ^(1/3) ψ^(2/3) |w|^(1/3)."""
    xi, psi = 1e-2, 3e-1

    def profile(coefficient: float) -> float:
        pair = torch.tensor(weight).double(), torch.tensor(coefficient).double()
        return float(penalty(*pair, xi=xi, psi=psi))

    best = minimize_scalar(profile, bounds=(1e-3, 5), method="bounded", options={"xatol": 1e-10})
    assert best.x == pytest.approx((2 * xi * weight / psi) ** (1 / 3), rel=1e-4)
    bridge = 3 / 2 ** (2 / 3) * xi ** (1 / 3) * psi ** (2 / 3) * weight ** (1 / 3)
    assert best.fun == pytest.approx(bridge, rel=1e-6)


class Lasso(Method):
    """The plain lasso, by autograd."""

    name = "lasso"

    def penalty(self, state):
        return 0.01 * sum(parameter.abs().sum() for parameter in state.model.parameters())


class Frozen(Halo):
    """HALO whose coefficients never move."""

    name = "frozen"

    def after_backward(self, state):
        super().after_backward(state)
        for coefficient in self._coefficient_parameters():
            coefficient.grad = None

    def _coefficient_parameters(self):
        return [coefficient for _, coefficient in self._pairs]


def test_with_frozen_coefficients_it_is_the_lasso(network, run):
    frozen, lasso = network("mlp", widths=[16]), network("mlp", widths=[16])
    params = Frozen.Params(xi=0.01, psi=0.3, lambda_init=1.0)
    run(frozen, Frozen(params), level=0.0)
    run(lasso, Lasso(), level=0.0)
    for own, other in zip(frozen.parameters(), lasso.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=1e-5)


def test_weight_decay_reaches_the_coefficients(network, run):
    halo = make("halo", {"xi": 0, "psi": 0})
    run(network("mlp", widths=[8]), halo, level=0.5, steps=10, weight_decay=0.2, **CONSTANT)
    for coefficient in halo.coefficients:
        torch.testing.assert_close(coefficient, torch.full_like(coefficient, 0.99**10))


def test_coefficients_follow_the_schedule(network, run):
    halo = make("halo", {"xi": 0, "psi": 0.1})
    recipe = {"schedule": "step", "milestones": (0.5,), "momentum": 0.0}
    run(network("mlp", widths=[8]), halo, level=0.5, steps=10, **recipe)
    travelled = 0.1 * (5 * 0.05 + 5 * 0.005)
    for coefficient in halo.coefficients:
        torch.testing.assert_close(coefficient, torch.full_like(coefficient, 1 - travelled))


def test_coefficients_have_momentum(network, run):
    halo = make("halo", {"xi": 0, "psi": 0.1})
    run(network("mlp", widths=[8]), halo, level=0.5, steps=2, schedule="constant", momentum=0.5)
    expected = 1 - 0.05 * 0.1 * (1 + 1.5)
    assert halo.coefficients[0].flatten()[0].item() == pytest.approx(expected)


def test_a_fitted_psi_takes_half_of_the_way(network, run):
    halo = make("halo", {"xi": 0, "lambda_floor": 1e-6})
    run(network("mlp", widths=[8]), halo, level=0.5, steps=20, **CONSTANT)
    assert halo._psi == pytest.approx(2 / (20 * 0.05))
    other = make("halo", {"xi": 0, "lambda_floor": 1e-6, "lambda_init": 3.0})
    run(network("mlp", widths=[8]), other, level=0.5, steps=20, **CONSTANT)
    assert other._psi == pytest.approx(6 / (20 * 0.05))


def test_coefficients_stay_at_or_above_their_floor(network, run):
    halo = make("halo", {"xi": 1e-4, "psi": 10.0, "lambda_floor": 0.02})
    run(network("mlp", widths=[8]), halo, level=0.5)
    assert min(float(coefficient.min()) for coefficient in halo.coefficients) >= 0.02 - 1e-7


def test_scope_says_who_is_penalised(network, run):
    model = network("convnet", widths=[3, 4])
    everywhere, convolutions = make("halo"), make("halo", {"scope": "conv"})
    for halo in (everywhere, convolutions):
        run(network("convnet", widths=[3, 4]), halo, level=0.5, steps=2, batch_size=8)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    expected = [tuple(p.shape) for layer in layers for p in layer.parameters()]
    assert [tuple(c.shape) for c in everywhere.coefficients] == expected
    assert [tuple(c.shape) for c in convolutions.coefficients] == expected[:2]
    with pytest.raises(NotApplicableError, match="no convolution"):
        run(network("mlp", widths=[8]), "halo", {"scope": "conv"}, level=0.5)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.98])
def test_the_mask_keeps_the_largest_weights_and_is_exact(network, run, level):
    model = network("mlp", widths=[16])
    dense = network("mlp", widths=[16])
    run(model, "halo", level=level)
    run(dense, "halo", level=0.0)  # the same training, but for the mask at the end
    total = sum(weight.numel() for weight in prunable(model).values())
    zeros = sum(int((weight == 0).sum()) for weight in prunable(model).values())
    assert zeros == round(level * total)
    kept = [
        (weight.detach(), trained.detach())
        for weight, trained in zip(prunable(model).values(), prunable(dense).values(), strict=True)
    ]
    smallest_kept = min(float(w[w != 0].abs().min()) for w, _ in kept)
    largest_gone = max(float(t[w == 0].abs().max()) for w, t in kept)
    assert smallest_kept >= largest_gone
    assert all(torch.equal(w[w != 0], t[w != 0]) for w, t in kept)  # nothing trained after it

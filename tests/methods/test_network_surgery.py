"""Dynamic network surgery: thresholds, hysteresis, and hidden weights that live on."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.errors import ParameterError
from robench.methods.base import make
from robench.methods.masks import achieved_level, masks_by_score, zeros_at
from robench.methods.network_surgery import LayerSurgery, NetworkSurgery
from robench.models.base import prunable


class Watched(NetworkSurgery):
    """Keeps, after each step, what is hidden and what all weights are."""

    def __init__(self, **params):
        super().__init__(self.Params(**params))
        self.gradients, self.before, self.after, self.shown, self.levels = [], [], [], [], []

    def prepare(self, state):
        super().prepare(state)
        self.first = {n: w.detach() != 0 for n, w in state.prunable.items()}

    def after_backward(self, state):
        self.gradients.append({n: w.grad.clone() for n, w in state.prunable.items()})
        super().after_backward(state)
        self.before.append({n: w.detach().clone() for n, w in state.prunable.items()})

    def after_step(self, state):
        is_operating = bool(self._layers)
        if is_operating:
            self.after.append({n: w.detach().clone() for n, w in state.prunable.items()})
        super().after_step(state)
        if self._layers:
            self.shown.append({n: w.detach() != 0 for n, w in state.prunable.items()})
        state.masks.apply(state.prunable)
        self.levels.append(achieved_level(state.prunable))


def layer(weights, shown, mean=1.0, deviation=0.5):
    return LayerSurgery(torch.tensor(weights), torch.tensor(shown), mean, deviation)


def test_statistics_are_those_of_the_magnitudes():
    surgery = LayerSurgery.of(torch.tensor([[1.0, -3.0], [2.0, -6.0]]))
    assert surgery.mean == 3.0
    assert surgery.deviation == pytest.approx(((4 + 0 + 1 + 9) / 4) ** 0.5)
    assert surgery.shown.all()


def test_thresholds_with_hysteresis_of_a_worked_example():
    """With μ = 1, σ = 0.5 and c = 2 the thresholds are a = 1.8 and b = 2.2."""
    weights = [1.7, -1.7, 2.0, -2.0, 2.3, -2.3]
    surgery = layer(weights, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    surgery.operate(2.0)
    assert surgery.shown.tolist() == [0, 0, 1, 0, 1, 1]


def test_a_threshold_below_zero_hides_nothing():
    surgery = layer([0.001, -5.0], [1.0, 1.0])
    surgery.operate(-3.0)
    assert surgery.shown.all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), coefficient=st.floats(-1.9, 3))
def test_the_critical_coefficient_is_where_a_weight_changes_sides(seed, coefficient):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(40, generator=generator, dtype=torch.float64)
    shown = torch.randint(0, 2, (40,), generator=generator).double()
    surgery = LayerSurgery(weights, shown, 1.0, 0.5)
    critical = surgery.critical()
    surgery.operate(coefficient)
    is_clear = (critical - coefficient).abs() > 1e-9
    assert torch.equal((surgery.shown == 1)[is_clear], (critical > coefficient)[is_clear])


def test_weights_of_one_magnitude_have_an_order():
    surgery = LayerSurgery.of(torch.full((3,), 0.2))
    assert surgery.critical().isfinite().all()


def test_the_first_masks_are_those_of_the_normalised_magnitudes(network, run):
    """All weights are shown then, so that the order of |w| / 0.9 is what counts in a layer."""
    model = network("mlp", widths=[32, 16])
    scores = {}
    for name, weight in prunable(model).items():
        magnitude = weight.detach().abs()
        mean, deviation = magnitude.mean(), magnitude.std(correction=0)
        scores[name] = (magnitude / 0.9 - mean) / deviation
    expected = masks_by_score(scores, 0.7)
    method = Watched(gamma=1e9, power=9)  # so that masks never change by chance
    run(model, method, level=0.7, steps=10)
    for name, mask in expected.items():
        assert torch.equal(method.first[name], mask)


def test_gradients_act_on_hidden_weights(network, run):
    """A step of plain SGD moves each weight by its gradient, whether it is shown or not."""
    method = Watched()
    run(network("mlp", widths=[16]), method, level=0.8, steps=12, momentum=0.0, schedule="constant")
    assert len(method.after) == 8
    moved = 0
    for gradient, before, after, shown in zip(
        method.gradients, method.before, method.after, method.shown, strict=False
    ):
        for name, gradients in gradient.items():
            assert torch.allclose(after[name], before[name] - 0.05 * gradients, atol=1e-7)
            moved += int((~shown[name] & (after[name] != before[name])).sum())
    assert moved > 1000


def test_the_network_computes_with_the_shown_weights_alone(network, run):
    model = network("mlp", widths=[16])
    method = Watched()
    seen = []
    layers = dict(model.named_modules())
    names = list(prunable(model))
    model.register_forward_hook(
        lambda *_: seen.append(
            {n: layers[n.removesuffix(".weight")].weight.detach().clone() for n in names}
        )
    )
    run(model, method, level=0.8, steps=12)
    for step, (shown, after) in enumerate(zip(method.shown, method.after, strict=False)):
        for name in names:
            expected = torch.where(shown[name], after[name], 0.0)
            assert torch.equal(seen[step + 1][name] + 0.0, expected + 0.0)


def test_a_spliced_weight_comes_back_with_the_value_that_it_was_trained_to(network, run):
    method = Watched(fit_interval_steps=2)
    model = network("mlp", widths=[16])
    result = run(model, method, level=0.9, steps=40, learning_rate=0.1)
    spliced = 0
    for step in range(1, len(method.shown)):
        for name, shown in method.shown[step].items():
            back = shown & ~method.shown[step - 1][name]
            spliced += int(back.sum())
            # It is shown at step + 1 with the weight that was hidden, moved by this step.
            assert (method.before[step][name][back] != 0).all()
            assert torch.equal(method.before[step + 1][name][back], method.after[step][name][back])
    assert spliced > 20
    # Of those that are shown in the end, some were hidden at first.
    assert result.notes["spliced"] == sum(
        int((mask & ~method.first[name]).sum()) for name, mask in result.masks.items()
    )
    assert result.notes["spliced"] > 20


def test_masks_are_frozen_at_the_level_for_the_last_part(network, run):
    method = Watched(surgery_share=0.5, fit_interval_steps=1000)
    model = network("mlp", widths=[16])
    result = run(model, method, level=0.9, steps=40, learning_rate=0.1)
    total = sum(weight.numel() for weight in prunable(model).values())
    exact = zeros_at(0.9, total) / total
    assert method.levels[19:] == [exact] * 21
    # Between two fits the thresholds stand still and the level does not.
    assert any(level != exact for level in method.levels[:19])
    assert result.level == exact


def test_a_fit_at_every_step_holds_the_level(network, run):
    method = Watched(power=0, fit_interval_steps=1)
    run(network("mlp", widths=[16]), method, level=0.8, steps=20)
    assert len(set(method.levels)) == 1


def test_masks_follow_with_a_probability_that_falls(network, run):
    """With γ = 1 and power 2 an update after step t has the chance 1 / (1 + t)²."""
    counts = []
    for gamma in (0.0, 1.0, 1e9):
        method = Watched(gamma=gamma, power=2, fit_interval_steps=1)
        run(network("mlp", widths=[8]), method, level=0.8, steps=100, learning_rate=0.1)
        masks = method.shown
        counts.append(
            sum(any(not torch.equal(one[n], two[n]) for n in one) for one, two in pairwise(masks))
        )
    assert counts[0] > 30
    assert counts[1] <= 5
    assert counts[2] == 0


def test_the_same_seed_gives_the_same_masks(network, run):
    one, two = (
        run(network("mlp", widths=[16]), "network-surgery", {"gamma": 0.5}, level=0.8, steps=30)
        for _ in range(2)
    )
    assert all(torch.equal(one.masks[name], two.masks[name]) for name in one.masks)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.integers(1, 8),
    width=st.integers(1, 9),
    level=st.sampled_from([0.0, 0.5, 0.9, 0.97]),
    optimiser=st.sampled_from(["sgd", "adam"]),
)
def test_the_level_is_exact(network, run, steps, width, level, optimiser):
    model = network("mlp", widths=[width])
    result = run(model, "network-surgery", level=level, steps=steps, optimiser=optimiser)
    total = sum(weight.numel() for weight in prunable(model).values())
    assert sum(int((~mask).sum()) for mask in result.masks.values()) == round(level * total)
    assert all(mask.any() for mask in result.masks.values())


@pytest.mark.parametrize(
    "params",
    [
        {"surgery_share": 1.0},
        {"gamma": -1},
        {"gamma": float("nan")},
        {"power": float("inf")},
        {"fit_interval_steps": 0},
    ],
)
def test_parameters_out_of_range_are_refused(params):
    with pytest.raises(ParameterError, match=next(iter(params))):
        make("network-surgery", params)

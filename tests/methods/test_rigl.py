"""RigL: how dense layers are, and how connections move."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.errors import LevelNotReachedError, NotApplicableError, ParameterError
from robench.methods.base import make
from robench.methods.masks import count_zeros
from robench.methods.rigl import RigL, drop_share, erdos_renyi_kernel, move_connections
from robench.models.base import prunable

LENET = [(300, 784), (100, 300), (10, 100)]


class Watched(RigL):
    """Keeps weights, masks and momentum around each step."""

    def __init__(self, **params):
        super().__init__(self.Params(**params))
        self.masks, self.weights, self.biases, self.zeros = [], [], [], []

    def after_backward(self, state):
        super().after_backward(state)
        self.masks.append(dict(state.masks))

    def after_step(self, state):
        self.zeros.append(count_zeros(state.prunable))
        self.weights.append({n: w.detach().clone() for n, w in state.prunable.items()})
        named = state.model.named_parameters()
        self.biases.append({n: p.detach().clone() for n, p in named if n.endswith("bias")})


def by_bisection(shapes, kept):
    """The same densities in another way: Σ min(n, ε Σ dimensions) grows with ε."""
    low, high = 0.0, float(max(map(math.prod, shapes)))
    for _ in range(200):
        middle = (low + high) / 2
        total = sum(min(math.prod(shape), middle * sum(shape)) for shape in shapes)
        low, high = (middle, high) if total < kept else (low, middle)
    return [min(math.prod(shape), high * sum(shape)) for shape in shapes]


def test_densities_of_a_worked_example():
    """LeNet-300-100 at 0.9: ε = 26,620 / (1,084 + 400 + 110) = 16.7, above which fc3 is full.

    ε times 110 is more than the 1,000 weights of the last layer, so that the others share what is
    left: ε = 25,620 / 1,484.
    """
    kept = erdos_renyi_kernel(LENET, 26_620)
    assert kept == pytest.approx([1084 * 25_620 / 1484, 400 * 25_620 / 1484, 1000])


def test_a_kernel_counts_its_height_and_width():
    kept = erdos_renyi_kernel([(8, 4, 3, 3), (8, 8, 3, 5)], 100)
    assert kept[0] / kept[1] == pytest.approx((8 + 4 + 3 + 3) / (8 + 8 + 3 + 5))
    assert sum(kept) == pytest.approx(100)


def test_a_layer_that_fills_another_one_fills():
    """Of 25 weights: ε = 25 / 26, the 1 of (1, 1) is full; its rest fills (1, 2) too."""
    shapes = [(1, 1), (1, 2), (10, 11)]
    assert erdos_renyi_kernel(shapes, 25) == pytest.approx([1, 2, 22])
    assert erdos_renyi_kernel(shapes, 113) == [1, 2, 110]


@settings(max_examples=100, deadline=None)
@given(
    shapes=st.lists(
        st.one_of(
            st.tuples(st.integers(1, 40), st.integers(1, 40)),
            st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5)),
        ),
        min_size=1,
        max_size=6,
    ),
    share=st.floats(0, 1),
)
def test_densities_are_those_of_the_water_level(shapes, share):
    total = sum(map(math.prod, shapes))
    kept = round(share * total)
    found = erdos_renyi_kernel(shapes, kept)
    assert found == pytest.approx(by_bisection(shapes, kept), abs=1e-6 * total)
    assert sum(found) == pytest.approx(kept)


def test_drop_share_is_half_a_cosine():
    assert drop_share(0.3, 0.0) == 0.3
    assert drop_share(0.3, 0.5) == pytest.approx(0.15)
    assert drop_share(0.3, 0.25) == pytest.approx(0.15 * (1 + 0.5**0.5))
    assert drop_share(0.3, 1.0) == pytest.approx(0.0)


def test_connections_of_a_toy_layer_move():
    """Of four, the two smallest go; of the eight that are absent then the steepest two come."""
    mask = torch.tensor([[1, 1, 1, 1, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    weight = torch.tensor([[0.3, -0.1, 2.0, -0.2, 0.0], [0.0] * 5])
    gradient = torch.tensor([[9.0, 0.5, 9.0, 0.1, -0.7], [0.2, 0.0, -3.0, 0.0, 0.0]])
    after = move_connections(mask, weight, gradient, 0.5)
    assert after.int().tolist() == [[1, 0, 1, 0, 1], [0, 0, 1, 0, 0]]
    assert mask.int().tolist() == [[1, 1, 1, 1, 0], [0] * 5]


def test_a_connection_that_was_just_dropped_may_come_back():
    mask = torch.tensor([True, True, False])
    after = move_connections(mask, torch.tensor([0.1, 1.0, 0.0]), torch.tensor([5.0, 0, 1]), 0.5)
    assert after.tolist() == [True, True, False]


def test_a_connection_without_a_gradient_is_not_grown_where_one_could_stay():
    mask = torch.tensor([True, True, False, False])
    weight, still = torch.tensor([0.1, 1.0, 0.0, 0.0]), torch.zeros(4)
    assert torch.equal(move_connections(mask, weight, still, 0.9), mask)


def test_a_run_of_dead_units_keeps_its_level(network, run):
    """No gradient reaches a weight before or after hidden units that are all silent."""
    model = network("mlp", widths=[8])
    with torch.no_grad():
        model.body[1].bias.fill_(-1e3)
    method = Watched(interval_steps=2, end=1.0)
    result = run(model, method, level=0.5, steps=12)
    assert result.level == pytest.approx(0.5, abs=1e-4)
    assert all(torch.equal(method.masks[-1][name], mask) for name, mask in method.masks[0].items())


def test_connections_that_never_left_zero_are_told(network, run):
    class Silencing(RigL):
        """After the connections have moved, no unit answers any more."""

        def after_step(self, state):
            if state.step == 3:
                with torch.no_grad():
                    state.model.body[1].bias.fill_(-1e3)

    method = Silencing(RigL.Params(interval_steps=2, end=0.3))
    with pytest.raises(LevelNotReachedError, match="fell silent") as caught:
        run(network("mlp", widths=[8]), method, level=0.5, steps=12)
    assert 0.5 < caught.value.achieved < 0.7


def test_the_share_is_rounded_down():
    mask = torch.tensor([True, True, True, False])
    weight, gradient = torch.tensor([0.1, 1.0, 1.0, 0.0]), torch.tensor([0.0, 0, 0, 1.0])
    assert move_connections(mask, weight, gradient, 0.33).tolist() == mask.tolist()
    assert move_connections(mask, weight, gradient, 0.34).tolist() == [False, True, True, True]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), density=st.floats(0, 1))
def test_as_many_connections_are_there_after_as_before(seed, share, density):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(7, 9, generator=generator) < density
    weight = torch.randn(7, 9, generator=generator) * mask
    gradient = torch.randn(7, 9, generator=generator)
    after = move_connections(mask, weight, gradient, share)
    assert after.sum() == mask.sum()
    gone, come = mask & ~after, after & ~mask
    if gone.any():
        stays = mask & after
        # What went was smaller than all that stays, but for what was dropped and came back.
        assert gone.sum() <= int(share * int(mask.sum()))
        assert gradient[gone].abs().max() <= gradient[come].abs().min()
        smaller = stays & (weight.abs() < weight[gone].abs().max())
        assert (gradient[smaller].abs() >= gradient[gone].abs().max()).all()


def test_connections_move_when_they_should_and_the_step_is_left_out(network, run):
    """Of 40 steps those after 10 and 20 move connections; 30 is the end."""
    method = Watched(interval_steps=10, end=0.75)
    run(network("mlp", widths=[32, 16]), method, level=0.9, steps=40)
    for step in range(1, 40):
        is_update = step in (10, 20)
        for name, mask in method.masks[step].items():
            assert torch.equal(mask, method.masks[step - 1][name]) != is_update or mask.all()
        if is_update:
            for name, weights in method.weights[step - 1].items():
                kept = method.masks[step][name]
                assert torch.equal(method.weights[step][name][kept], weights[kept])
        for name, bias in method.biases[step - 1].items():
            assert torch.equal(method.biases[step][name], bias) == is_update


@pytest.mark.parametrize(("optimiser", "mean"), [("sgd", "momentum_buffer"), ("adam", "exp_avg")])
def test_new_connections_begin_at_zero_and_without_momentum(network, run, optimiser, mean):
    class Looking(RigL):
        found = 0

        def after_backward(self, state):
            before = dict(state.masks)
            means = {n: state.optimiser.state[w].get(mean) for n, w in state.prunable.items()}
            means = {n: m.clone() for n, m in means.items() if m is not None}
            super().after_backward(state)
            for name, mask in state.masks.items():
                grown = mask & ~before[name]
                weight = state.prunable[name]
                if grown.any():
                    Looking.found += int(grown.sum())
                    assert (weight[grown] == 0).all()
                    now = state.optimiser.state[weight][mean]
                    assert (now[grown] == 0).all()
                    assert (means[name][grown] != 0).any()
                    assert torch.equal(now[~grown], means[name][~grown])

    method = Looking(RigL.Params(interval_steps=5))
    rate = 0.05 if optimiser == "sgd" else 1e-3
    run(network("mlp", widths=[16]), method, level=0.8, optimiser=optimiser, learning_rate=rate)
    assert Looking.found > 100


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    widths=st.lists(st.integers(4, 30), min_size=1, max_size=3),
    level=st.one_of(st.sampled_from([0.0, 0.5, 0.95]), st.floats(0, 0.98)),
    densities=st.sampled_from(["erk", "uniform"]),
    steps=st.integers(1, 9),
)
def test_the_level_is_exact_throughout(network, run, widths, level, densities, steps):
    model = network("mlp", widths=widths)
    method = Watched(densities=densities, interval_steps=2, end=1.0, drop_share=0.3)
    with suppress(LevelNotReachedError):  # in so few steps a unit may not answer to any image
        run(model, method, level=level, steps=steps, learning_rate=0.001)
    total = sum(weight.numel() for weight in prunable(model).values())
    assert len(method.masks) == steps
    for masks in method.masks:
        assert sum(int((~mask).sum()) for mask in masks.values()) == round(level * total)
        assert all(mask.any() for mask in masks.values())


def test_weights_that_are_not_connected_are_zero_after_each_step(network, run):
    method = Watched(interval_steps=4)
    run(network("mlp", widths=[32, 16]), method, level=0.7)
    for masks, weights in zip(method.masks, method.weights, strict=True):
        assert all((weights[name][~mask] == 0).all() for name, mask in masks.items())


def test_layers_have_the_densities_that_were_asked_for(network, run):
    model = network("mlp", widths=[32, 16])
    shapes = [tuple(weight.shape) for weight in prunable(model).values()]
    total = sum(map(math.prod, shapes))
    uniform = run(network("mlp", widths=[32, 16]), "rigl", {"densities": "uniform"}, level=0.8)
    assert all(
        float(mask.float().mean()) == pytest.approx(0.2, abs=0.01)
        for mask in uniform.masks.values()
    )
    kernel = run(model, "rigl", level=0.8)
    kept = [int(mask.sum()) for mask in kernel.masks.values()]
    assert kept == pytest.approx(by_bisection(shapes, total - round(0.8 * total)), abs=1.01)


def test_a_level_that_leaves_a_layer_empty_is_not_applicable(network, run):
    with pytest.raises(NotApplicableError, match="leave nothing"):
        run(network("mlp", widths=[1]), "rigl", level=0.9999)


@pytest.mark.parametrize(
    "params",
    [{"drop_share": 0.0}, {"interval_steps": 0}, {"end": 1.1}, {"densities": "er"}],
)
def test_parameters_out_of_range_are_refused(params):
    with pytest.raises(ParameterError, match=next(iter(params))):
        make("rigl", params)

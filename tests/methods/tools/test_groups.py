"""The group lasso: values, gradients, the proximal operator, and that both updates agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.methods.tools.groups import Grouping, kinds_in

KINDS = ["row", "channel", "shape", "kernel", "layer"]


def random_weight(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient_of(grouping: Grouping) -> Tensor:
    gradient = torch.zeros_like(grouping.weight)
    grouping.add_gradient(gradient, 1.0)
    return gradient


def by_hand(weight: Tensor, kind: str) -> list[Tensor]:
    """The groups of an ungrouped layer, picked one by one."""
    if kind == "layer":
        return [weight]
    if kind == "row":
        return [weight[n] for n in range(weight.shape[0])]
    if kind == "kernel":
        return [weight[n, c] for n in range(weight.shape[0]) for c in range(weight.shape[1])]
    if kind == "channel" or weight.dim() == 2:
        return [weight[:, c] for c in range(weight.shape[1])]
    _, channels, height, width = weight.shape
    return [
        weight[:, c, i, j] for c in range(channels) for i in range(height) for j in range(width)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 7), (5, 4, 3, 2)])
def test_penalty_and_gradient(shape, kind):
    weight = random_weight(*shape).requires_grad_()
    grouping = Grouping(weight, kind)
    groups = by_hand(weight, kind)
    assert grouping.count == len(groups)
    assert grouping.size == groups[0].numel()
    torch.testing.assert_close(grouping.norms(), torch.stack([g.norm() for g in groups]))
    (expected,) = torch.autograd.grad(sum(g.norm() for g in groups), weight)
    torch.testing.assert_close(gradient_of(grouping), expected)
    (own,) = torch.autograd.grad(grouping.penalty(), weight)
    torch.testing.assert_close(own, expected)


@pytest.mark.parametrize("kind", ["row", "channel", "shape", "kernel"])
def test_the_groups_of_a_grouped_convolution_are_those_of_its_parts(kind):
    conv = nn.Conv2d(6, 4, 3, groups=2, dtype=torch.float64)
    grouping = Grouping.of(conv, kind)
    # A grouped convolution is two convolutions of 3 channels and 2 filters, side by side.
    parts = [Grouping(conv.weight[:2], kind), Grouping(conv.weight[2:], kind)]
    torch.testing.assert_close(grouping.norms(), torch.cat([part.norms() for part in parts]))
    torch.testing.assert_close(
        gradient_of(grouping), torch.cat([gradient_of(part) for part in parts])
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_zero_group_has_no_gradient(kind):
    weight = random_weight(3, 3, 2, 2)
    weight[1] = 0
    weight[:, 2] = 0
    gradient = gradient_of(Grouping(weight, kind))
    assert gradient.isfinite().all()
    assert not gradient[weight == 0].any()


@settings(max_examples=30, deadline=None)
@given(
    threshold=st.floats(0, 4),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(KINDS),
    other=st.integers(1001, 2000),
)
def test_shrink_is_block_soft_thresholding(threshold, seed, kind, other):
    before = random_weight(3, 4, 2, 2, seed=seed)
    weight = before.clone()
    Grouping(weight, kind).shrink(threshold)
    for start, end in zip(by_hand(before, kind), by_hand(weight, kind), strict=True):
        if start.norm() <= threshold:
            assert not end.any()
        else:
            torch.testing.assert_close(end, start * (1 - threshold / start.norm()))
    # Non-expansive, as every proximal operator is.
    second_before = random_weight(3, 4, 2, 2, seed=other)
    second = second_before.clone()
    Grouping(second, kind).shrink(threshold)
    assert (weight - second).norm() <= (before - second_before).norm() + 1e-12


def test_shrink_minimises_what_it_should():
    weight = random_weight(1, 6)
    shrunk = weight.clone()
    Grouping(shrunk, "row").shrink(0.7)

    def objective(v: Tensor) -> Tensor:
        return 0.5 * (v - weight).square().sum() + 0.7 * v.norm()

    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        nearby = shrunk + 0.05 * torch.randn(shrunk.shape, generator=generator)
        assert objective(nearby) >= objective(shrunk)


def test_shrink_of_single_weights_is_soft_thresholding():
    weight = torch.tensor([[1.5, -0.3, -2.0, 0.0]])
    Grouping(weight, "channel").shrink(0.5)
    torch.testing.assert_close(weight, torch.tensor([[1.0, 0.0, -1.5, 0.0]]))


def test_shrinking_a_layer_is_shrinking_its_one_group():
    """Depth-wise: one group of all weights, as if they were one row."""
    before = random_weight(3, 4, 2, 2)
    weight, row = before.clone(), before.flatten()[None].clone()
    Grouping(weight, "layer").shrink(1.5)
    Grouping(row, "row").shrink(1.5)
    torch.testing.assert_close(weight.flatten(), row[0])
    torch.testing.assert_close(weight, before * (1 - 1.5 / before.norm()))
    Grouping(weight, "layer").shrink(float(weight.norm()) + 1e-9)
    assert not weight.any()


def test_rows_and_columns_of_the_matrix_are_filters_and_shapes():
    """The view that convolutions are computed with: N rows, C M K columns."""
    weight = random_weight(4, 3, 2, 2)
    matrix = weight.flatten(1)
    for kind, of_matrix in [("row", "row"), ("shape", "channel")]:
        own, other = Grouping(weight, kind), Grouping(matrix, of_matrix)
        torch.testing.assert_close(own.norms(), other.norms())
        torch.testing.assert_close(gradient_of(own).flatten(1), gradient_of(other))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("conv_groups", [1, 2])
def test_what_is_spread_lies_on_the_groups(kind, conv_groups):
    grouping = Grouping(random_weight(4, 3, 2, 2), kind, conv_groups)
    numbers = grouping.spread(torch.arange(grouping.count))
    norms = [grouping.weight[numbers == number].norm() for number in range(grouping.count)]
    torch.testing.assert_close(torch.stack(norms), grouping.norms())
    chosen = grouping.weight > 0
    counts = [int(chosen[numbers == number].sum()) for number in range(grouping.count)]
    assert grouping.count_in(chosen).tolist() == counts


def test_linear_layers_have_no_two_dimensional_filters():
    assert kinds_in(nn.Conv2d(2, 2, 3), "filter-2d") == ("kernel",)
    assert kinds_in(nn.Linear(2, 2), "filter-2d") == ("row", "channel")
    assert kinds_in(nn.Linear(2, 2), "filter-shape") == ("row", "shape")
    shape, channel = (Grouping(random_weight(3, 4), kind) for kind in ("shape", "channel"))
    torch.testing.assert_close(shape.norms(), channel.norms())


def trained(start: Tensor, step: Callable[[Tensor], None], *, updates: int = 1500) -> Tensor:
    """A weight after so many updates in place."""
    weight = start.clone()
    for _ in range(updates):
        step(weight)
    return weight


def test_training_on_orthonormal_least_squares_thresholds_the_solution():
    """With orthonormal X, ½‖X w - y‖² + λ Σ‖w_g‖ is least at the thresholded OLS solution."""
    generator = torch.Generator().manual_seed(3)
    x, _ = torch.linalg.qr(torch.randn(30, 12, dtype=torch.float64, generator=generator))
    y = torch.randn(30, 1, dtype=torch.float64, generator=generator) + x.sum(1, keepdim=True)
    least_squares = torch.linalg.lstsq(x, y).solution

    def step(weight: Tensor) -> None:
        weight -= 0.1 * (x.T @ (x @ weight - y))
        Grouping(weight.view(4, 3), "row").shrink(0.1 * 1.6)

    weight = trained(torch.zeros(12, 1, dtype=torch.float64), step)
    expected = [g * (1 - 1.6 / g.norm()).clamp(min=0) for g in least_squares.view(4, 3)]
    torch.testing.assert_close(weight.view(4, 3), torch.stack(expected), atol=1e-9, rtol=1e-9)
    assert 0 < int((weight.view(4, 3) == 0).all(1).sum()) < 4


def test_where_groups_overlap_both_updates_nearly_agree():
    """One proximal step after another is not that of the sum, but near it at small steps."""
    target = random_weight(4, 5)
    learning_rate, strength = 0.01, 0.5

    def groupings(weight: Tensor) -> list[Grouping]:
        return [Grouping(weight, "row"), Grouping(weight, "channel")]

    def subgradient(weight: Tensor) -> None:
        gradient = weight - target
        for grouping in groupings(weight):
            grouping.add_gradient(gradient, strength)
        weight -= learning_rate * gradient

    def proximal(weight: Tensor) -> None:
        weight -= learning_rate * (weight - target)
        for grouping in groupings(weight):
            grouping.shrink(learning_rate * strength)

    by_gradient, by_shrinking = (trained(target, step) for step in (subgradient, proximal))
    difference = float((by_gradient - by_shrinking).norm() / by_gradient.norm())
    assert 0 < difference < 0.01


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("update", ["subgrad", "prox"])
def test_both_updates_find_the_same_minimum(update, momentum):
    """On ½‖w - v‖² + λ Σ‖w_g‖ the minimum is v with its blocks soft-thresholded by λ.

    The proximal step must use lr λ / (1 - momentum) for that: without it the minimum would depend
    on the momentum.
    """
    target, strength, learning_rate = random_weight(4, 5), 0.8, 0.05
    weight = nn.Parameter(torch.zeros_like(target) + 0.1)
    grouping = Grouping(weight, "row")
    optimiser = torch.optim.SGD([weight], lr=learning_rate, momentum=momentum)
    for _ in range(1500):
        weight.grad = weight.detach() - target
        if update == "subgrad":
            grouping.add_gradient(weight.grad, strength)
        optimiser.step()
        if update == "prox":
            grouping.shrink(learning_rate / (1 - momentum) * strength)
    expected = target.clone()
    Grouping(expected, "row").shrink(strength)
    torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-6)

"""SSL: phases, both updates, what is silent in the end."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from robench.errors import NotApplicableError
from robench.methods.base import make
from robench.methods.masks import count_zeros
from robench.methods.ssl import StructuredSparsity
from robench.models.base import prunable
from robench.models.chain import chain


class Watched(StructuredSparsity):
    """Notes the number of zeros, and the smallest magnitude beside zero, before each step."""

    name = "watched"

    def __init__(self, params=None):
        super().__init__(params)
        self.zeros = []
        self.smallest = []

    def penalty(self, state):
        self.zeros.append(count_zeros(state.prunable))
        weights = torch.cat([weight.detach().flatten() for weight in state.prunable.values()])
        self.smallest.append(float(weights[weights != 0].abs().min()))


def removed_rows(weight: torch.Tensor) -> torch.Tensor:
    return (weight.flatten(1) == 0).all(1)


def test_what_leads_to_and_from_a_removed_neuron_is_zero(network, run):
    model = network("mlp", widths=[40, 30])
    run(model, "ssl", {"lambda_g": 0.02}, level=0.9, steps=100, weight_decay=1e-3)
    layers = chain(model)
    seen = 0
    for layer, reader in itertools.pairwise(layers):
        gone = removed_rows(layer.module.weight)
        seen += int(gone.sum())
        assert not layer.module.bias[gone].any()
        assert not reader.module.weight[:, gone].any()
        assert layer.module.bias[~gone].all()
    assert seen


def test_the_batch_norm_of_a_removed_filter_is_silent(network, run):
    model = network("convnet", widths=[8, 12])
    run(model, "ssl", level=0.7, steps=10, batch_size=16)
    layers = chain(model)
    seen = 0
    for layer, reader in itertools.pairwise(layers):
        gone = removed_rows(layer.module.weight)
        seen += int(gone.sum())
        assert not layer.batch_norm.weight[gone].any()
        assert not layer.batch_norm.bias[gone].any()
        assert not reader.module.weight[:, gone].any()
    assert seen


def test_removed_filters_can_be_cut_out_without_a_trace(network, run, digits):
    """The network with the removed neurons sliced away computes the same function."""
    model = network("mlp", widths=[24, 16])
    run(model, "ssl", level=0.95)
    first, second, third = (layer.module for layer in chain(model))
    keep1, keep2 = ~removed_rows(first.weight), ~removed_rows(second.weight)
    assert keep1.sum() < 24
    images = digits.test.images[:20].float() / 255

    with torch.no_grad():
        x = model.normalise(images).flatten(1)
        x = (x @ first.weight[keep1].T + first.bias[keep1]).relu()
        x = (x @ second.weight[keep2][:, keep1].T + second.bias[keep2]).relu()
        x = x @ third.weight[:, keep2].T + third.bias
        torch.testing.assert_close(model(images), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", ["none", "sqrt"])
def test_the_penalty_shrinks_until_the_level_is_there(network, run, scale):
    """A strong penalty reaches the level alone; then it stops, and fine-tuning begins."""
    model = network("mlp", widths=[40, 30])
    total = sum(weight.numel() for weight in prunable(model).values())
    method = Watched(Watched.Params(lambda_g=0.3, update="prox", scale=scale))
    run(model, method, level=0.9, steps=40)
    wanted = round(0.9 * total)
    assert method.zeros[-1] == pytest.approx(wanted, abs=total // 1000 + 45)
    assert max(method.zeros) <= wanted
    snapped = next(i for i, zeros in enumerate(method.zeros) if zeros == method.zeros[-1])
    assert snapped < 0.6 * 40 - 2
    assert set(method.zeros[snapped:]) == {method.zeros[-1]}


def test_without_help_the_penalty_lasts_for_its_share(network, run):
    method = Watched(Watched.Params(lambda_g=1e-8, update="prox", ssl_share=0.5))
    run(network("mlp", widths=[16]), method, level=0.9, steps=20)
    assert method.zeros[9] == 0
    assert method.zeros[10] == method.zeros[19] > 0


def test_the_reference_update_zeroes_small_weights(network, run):
    method = Watched(Watched.Params(ssl_share=0.99))
    run(network("mlp", widths=[16]), method, level=0.9, steps=10)
    assert method.smallest[0] < 1e-4
    assert min(method.smallest[1:]) >= 1e-4
    assert all(zeros > 0 for zeros in method.zeros[1:])


def test_in_prox_mode_groups_die_whole(network, run):
    model = network("mlp", widths=[40])
    method = Watched(Watched.Params(lambda_g=0.05, update="prox", ssl_share=0.99))
    run(model, method, level=0.98, steps=30)
    weight = model.body.fc1.weight
    alive = weight[~removed_rows(weight)][:, ~removed_rows(weight.T)]
    assert (alive != 0).all()


def test_the_subgradient_is_that_of_the_penalty(network, run, digits):
    """One step without momentum moves the weights by the gradient of loss plus penalty."""
    plain, penalised = network("mlp", widths=[16]), network("mlp", widths=[16])
    step = {"steps": 2, "momentum": 0.0, "schedule": "constant", "batch_size": 300}

    class OneStep(StructuredSparsity):
        name = "one-step"

        def after_step(self, state):
            """Leave out zeroing and snapping."""

    run(plain, "dense", level=0.0, **step)
    run(penalised, OneStep(OneStep.Params(lambda_g=0.02)), level=0.0, **{**step, "steps": 1})
    reference = network("mlp", widths=[16])
    images, labels = digits.train.images.float() / 255, digits.train.labels
    weights = [reference.body.fc1.weight, reference.body.fc2.weight]
    loss = nn.functional.cross_entropy(reference(images), labels)
    # Rows of the hidden layer, columns of both; not the rows of the output.
    penalty = weights[0].norm(dim=1).sum() + sum(weight.norm(dim=0).sum() for weight in weights)
    gradients = torch.autograd.grad(loss + 0.02 * penalty, weights)
    for own, weight, gradient in zip(
        [penalised.body.fc1.weight, penalised.body.fc2.weight], weights, gradients, strict=True
    ):
        torch.testing.assert_close(own, weight - 0.05 * gradient, atol=1e-6, rtol=1e-5)


def test_levels_beyond_the_last_group_do_not_apply(network, run):
    with pytest.raises(NotApplicableError, match=r"level 0\.99 would remove the last group"):
        run(network("convnet", widths=[2, 2]), "ssl", level=0.99)


def test_networks_that_branch_do_not_apply(digits):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.first(x) + self.second(x)

    answer = make("ssl").supports(Branching(), digits)
    assert answer is not True
    assert "not a chain" in answer


def test_shape_columns_reach_the_level(network, run):
    model = network("convnet", widths=[8, 12])
    result = run(model, "ssl", {"columns": "shape"}, level=0.9, steps=8, batch_size=16)
    assert result.level == pytest.approx(0.9, abs=0.03)
    # Kernel positions have gone, not only whole channels.
    weight = model.body.conv2.weight
    gone = (weight == 0).all(0).flatten(1)
    assert (gone.any(1) & ~gone.all(1)).any()

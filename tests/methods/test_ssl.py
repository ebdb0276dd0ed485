"""SSL: phases, both updates, what is silent in the end."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from robench.errors import LevelNotReachedError, ParameterError
from robench.methods.base import make
from robench.methods.masks import count_zeros
from robench.methods.ssl import StructuredSparsity
from robench.methods.tools.groups import GROUPS
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
    """A strong penalty goes beyond the level; that is undone, and fine-tuning begins."""
    model = network("mlp", widths=[40, 30])
    total = sum(weight.numel() for weight in prunable(model).values())
    method = Watched(Watched.Params(lambda_g=0.04, update="prox", scale=scale))
    result = run(model, method, level=0.65, steps=150)
    wanted = round(0.65 * total)
    assert method.zeros[-1] == pytest.approx(wanted, abs=total // 1000 + 45)
    snapped = next(i for i, zeros in enumerate(method.zeros) if zeros == method.zeros[-1])
    assert snapped < 90
    assert set(method.zeros[snapped:]) == {method.zeros[-1]}
    below, beyond = result.notes["lambda_path"]
    assert below["lambda_g"] == beyond["lambda_g"] == 0.04
    assert 0 < below["level"] == result.native < 0.65 < beyond["level"]
    assert (below["undone"], beyond["undone"]) == (False, True)
    assert snapped == below["steps"] + beyond["steps"]


def test_a_penalty_that_is_too_weak_is_told(network, run):
    method = Watched(Watched.Params(lambda_g=1e-8, update="prox", ssl_share=0.5))
    result = run(network("mlp", widths=[16]), method, level=0.9, steps=20)
    assert method.zeros[9] == 0
    assert method.zeros[10] == method.zeros[19] > 0
    assert result.native == 0
    assert result.notes["zero_groups"] == {
        "body.fc1": {"row": 0, "channel": 0},
        "body.fc2": {"channel": 0},
    }
    assert result.notes["lambda_path"] == [
        {"lambda_g": 1e-8, "steps": 10, "level": 0.0, "undone": False}
    ]


def test_the_record_says_which_groups_the_penalty_made_zero(network, run):
    """Before the level was snapped to, counted on a network that was caught at that moment."""
    caught = {}

    class Caught(StructuredSparsity):
        name = "caught"

        def _snap(self, state):
            weight = state.model.body.fc1.weight.detach()
            caught["row"] = float(removed_rows(weight).float().mean())
            caught["channel"] = float(removed_rows(weight.T).float().mean())
            super()._snap(state)

    method = Caught(Caught.Params(lambda_g=0.05, update="prox"))
    result = run(network("mlp", widths=[40]), method, level=0.95, steps=100)
    assert result.notes["zero_groups"]["body.fc1"] == pytest.approx(caught, abs=1e-6)
    assert caught["channel"] > 0.2


def test_a_path_goes_up_until_it_is_too_far_and_then_between(network, run):
    model = network("mlp", widths=[40])
    params = {"lambda_g": 5e-3, "path_factor": 3, "path_segments": 12, "update": "prox"}
    result = run(model, "ssl", params, level=0.6, steps=200, learning_rate=0.02)
    path = result.notes["lambda_path"]
    risen = next(i for i, segment in enumerate(path) if segment["undone"])
    assert risen > 1
    for earlier, later in itertools.pairwise(path[: risen + 1]):
        assert later["lambda_g"] == pytest.approx(3 * earlier["lambda_g"])
        assert not earlier["undone"]
    weak, strong = path[risen - 1]["lambda_g"], path[risen]["lambda_g"]
    assert path[risen + 1 :]
    assert all(weak < segment["lambda_g"] < strong for segment in path[risen + 1 :])
    assert result.native == [segment["level"] for segment in path if not segment["undone"]][-1]
    assert result.level == pytest.approx(0.6, abs=0.03)


def test_the_weights_before_the_segment_that_went_too_far_come_back(network, run):
    """A penalty that kills the network within ten steps leaves the dense one, cut to the level."""
    start = {n: w.detach().clone() for n, w in prunable(network("mlp", widths=[16])).items()}
    seen = {}

    class Stopped(StructuredSparsity):
        name = "stopped"

        def _snap(self, state):
            seen.update({name: weight.detach().clone() for name, weight in state.prunable.items()})
            seen["momentum"] = dict(state.optimiser.state)
            super()._snap(state)

    method = Stopped(Stopped.Params(lambda_g=50, update="prox"))
    result = run(network("mlp", widths=[16]), method, level=0.5, steps=30)
    assert seen.pop("momentum") == {}
    assert all(torch.equal(weight, start[name]) for name, weight in seen.items())
    assert result.native == 0
    assert result.notes["lambda_path"] == [
        {"lambda_g": 50, "steps": 10, "level": 1.0, "undone": True}
    ]


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
    with pytest.raises(LevelNotReachedError, match=r"level 0\.99 would remove the last group"):
        run(network("convnet", widths=[2, 2]), "ssl", level=0.99)


def test_shape_columns_reach_the_level(network, run):
    model = network("convnet", widths=[8, 12])
    result = run(model, "ssl", {"groups": "filter-shape"}, level=0.9, steps=8, batch_size=16)
    assert result.level == pytest.approx(0.9, abs=0.03)
    # Kernel positions have gone, not only whole channels.
    weight = model.body.conv2.weight
    gone = (weight == 0).all(0).flatten(1)
    assert (gone.any(1) & ~gone.all(1)).any()


def test_values_below_the_threshold_become_zero_biases_too(network, run):
    """0.99e-4 goes and 1.01e-4 stays, whatever the sign and the parameter."""
    after = {}

    class Small(StructuredSparsity):
        name = "small"

        def _shrink(self, state):
            with torch.no_grad():
                for tensor in (state.model.body.fc1.weight[0], state.model.body.fc1.bias):
                    tensor[:4] = torch.tensor([0.99e-4, -0.99e-4, 1.01e-4, -1.01e-4])
            super()._shrink(state)
            after["weight"] = state.model.body.fc1.weight[0, :4].tolist()
            after["bias"] = state.model.body.fc1.bias[:4].tolist()

    run(network("mlp", widths=[16]), Small(), level=0.5, steps=1)
    for values in after.values():
        assert values == pytest.approx([0, 0, 1.01e-4, -1.01e-4], abs=1e-10)


def test_groups_that_are_gone_stay_zero_through_fine_tuning(network, run):
    """Momentum and weight decay do not bring them back."""
    method = Watched(Watched.Params(ssl_share=0.2))
    run(network("mlp", widths=[16]), method, level=0.7, steps=50, weight_decay=0.01)
    assert len(set(method.zeros[10:])) == 1


class Residual(nn.Module):
    """Two blocks with BatchNorm beside identity shortcuts, for digits of a quarter of the size."""

    def __init__(self, width: int = 6, *, conv_groups: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.stem = nn.Conv2d(1, width, 3, padding=1)
            self.stem_norm = nn.BatchNorm2d(width)
            for block in "ab":
                for place in "12":
                    conv = nn.Conv2d(width, width, 3, padding=1, groups=conv_groups)
                    self.add_module(f"conv_{block}{place}", conv)
                    self.add_module(f"norm_{block}{place}", nn.BatchNorm2d(width))
            self.fc = nn.Linear(width, 10)

    def branch(self, block: str, x: torch.Tensor) -> torch.Tensor:
        x = getattr(self, f"norm_{block}1")(getattr(self, f"conv_{block}1")(x)).relu()
        return getattr(self, f"norm_{block}2")(getattr(self, f"conv_{block}2")(x))

    def forward(self, x):
        x = nn.functional.avg_pool2d(x, 4)
        x = self.stem_norm(self.stem(x)).relu()
        x = (x + self.branch("a", x)).relu()
        x = (x + self.branch("b", x)).relu()
        return self.fc(x.mean((2, 3)))

    def residual_branches(self):
        return tuple(
            tuple(f"{kind}_{block}{place}" for place in "12" for kind in ("conv", "norm"))
            for block in "ab"
        )


ALL_BUT_DEPTH = [name for name in GROUPS if name != "depth"]


@pytest.mark.parametrize("groups", ALL_BUT_DEPTH)
@pytest.mark.parametrize("conv_groups", [1, 2])
def test_every_kind_of_group_reaches_levels_where_outputs_are_added(run, groups, conv_groups):
    for level in (0.5, 0.75):
        model = Residual(conv_groups=conv_groups)
        run(model, "ssl", {"groups": groups}, level=level, steps=5)
        weights = prunable(model)
        total = sum(weight.numel() for weight in weights.values())
        missing = round(level * total) - count_zeros(weights)
        assert 0 <= missing <= max(w.numel() // min(w.shape[:2]) for w in weights.values())
        assert all(weight.any() for weight in weights.values())


@pytest.mark.parametrize("groups", ALL_BUT_DEPTH)
def test_every_kind_of_group_reaches_levels_in_a_chain(network, run, groups):
    model = network("convnet", widths=[8, 12])
    result = run(model, "ssl", {"groups": groups}, level=0.6, steps=5)
    assert result.level == pytest.approx(0.6, abs=0.03)


def test_filters_that_are_gone_are_silent_where_outputs_are_added(run):
    model = Residual()
    run(model, "ssl", {"groups": "filter"}, level=0.6, steps=30)
    seen = 0
    for name in ("a1", "a2", "b1", "b2"):
        conv, norm = getattr(model, f"conv_{name}"), getattr(model, f"norm_{name}")
        gone = removed_rows(conv.weight)
        seen += int(gone.sum())
        for tensor in (conv.bias, norm.weight, norm.bias):
            assert not tensor[gone].any()
            assert tensor[~gone].any()
    assert seen


@pytest.mark.parametrize("update", ["subgrad", "prox"])
def test_a_branch_that_is_gone_hands_its_input_on(run, update):
    model = Residual()
    params = {"groups": "depth", "update": update, "lambda_g": 0.01}
    result = run(model, "ssl", params, level=0.45, steps=20)
    gone = [block for block in "ab" if not getattr(model, f"conv_{block}1").weight.any()]
    assert len(gone) == 1
    assert not getattr(model, f"conv_{gone[0]}2").weight.any()
    x = torch.rand(2, 6, 8, 8)
    assert not model.branch(gone[0], x).any()
    assert model.branch("a" if gone == ["b"] else "b", x).any()
    assert model(torch.rand(2, 1, 32, 32)).isfinite().all()
    assert result.level == pytest.approx(648 / 1410, abs=0.01)  # 2 x 324 of 4 x 324 + 54 + 60
    assert set(result.notes["zero_groups"]) == {"conv_a1", "conv_a2", "conv_b1", "conv_b2"}


def test_depth_penalises_whole_layers_and_they_die(run):
    """When the penalty kills one convolution of a branch by itself, the whole branch counts."""
    model = Residual()
    params = {"groups": "depth", "update": "prox", "lambda_g": 0.5}
    result = run(model, "ssl", params, level=0.92, steps=60, learning_rate=0.04)
    zero_groups = result.notes["zero_groups"]
    assert any(kinds["layer"] == 1 for kinds in zero_groups.values())
    assert result.native in (pytest.approx(648 / 1410), pytest.approx(1296 / 1410))
    assert model(torch.rand(2, 1, 32, 32)).isfinite().all()


def test_levels_between_branches_say_what_was_reached(run):
    with pytest.raises(LevelNotReachedError, match="identity shortcut") as caught:
        run(Residual(width=2), "ssl", {"groups": "depth"}, level=0.999, steps=10)
    # The four convolutions may go, and 36 weights more or fewer are allowed, but not 38.
    assert caught.value.achieved == 144 / 182


def test_depth_needs_branches(network, digits):
    answer = make("ssl", {"groups": "depth"}).supports(network("mlp"), digits)
    assert "identity shortcut" in answer
    assert "'filter-channel'" in answer
    assert make("ssl", {"groups": "depth"}).supports(Residual(), digits) is True


def test_only_depth_may_miss_by_a_layer():
    assert make("ssl").structure == "filter"
    assert make("ssl", {"groups": "depth"}).structure == "layer"


def test_a_network_without_groups_says_so(digits):
    answer = make("ssl").supports(nn.Sequential(nn.Flatten(), nn.ReLU()), digits)
    assert "no prunable weight" in answer


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "strong"])
def test_penalties_that_mean_nothing_are_refused(value):
    with pytest.raises(ParameterError, match="lambda_g"):
        make("ssl", {"lambda_g": value})

"""NoiseOut: noise outputs, rounds and their undoing, levels, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn

import robench
from robench.errors import LevelNotReachedError, NotApplicableError, ParameterError
from robench.methods.base import TrainState, make
from robench.methods.masks import count_zeros, zeros_at
from robench.methods.noiseout.fold import carry_out
from robench.methods.noiseout.heads import (
    NoiseHeads,
    binomial_targets,
    constant_targets,
    gaussian_targets,
)
from robench.methods.noiseout.links import links_of
from robench.methods.noiseout.merger import Merger
from robench.methods.noiseout.method import NoiseOut
from robench.methods.noiseout.probe import Probe
from robench.models.base import prunable
from robench.models.chain import chain

FAST = {"noise_outputs": 8, "probe_samples": 100, "rounds": 4}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestNoise:
    def test_gaussian_targets_have_their_mean_and_deviation(self):
        targets = gaussian_targets(0.3, 2.0)((400, 500), generator())
        assert float(targets.mean()) == pytest.approx(0.3, abs=0.02)
        assert float(targets.std()) == pytest.approx(2.0, abs=0.02)

    def test_binomial_targets_are_ones_and_zeros(self):
        targets = binomial_targets(0.2)((400, 500), generator())
        assert set(targets.unique().tolist()) == {0.0, 1.0}
        assert float(targets.mean()) == pytest.approx(0.2, abs=0.005)

    def test_constant_targets_are_all_the_same(self):
        assert constant_targets(1.5)((3, 4), generator()).unique().tolist() == [1.5]

    @pytest.mark.parametrize("draw", [gaussian_targets(0, 1), binomial_targets(0.5)])
    def test_targets_are_new_each_time(self, draw):
        source = generator()
        assert not torch.equal(draw((20, 5), source), draw((20, 5), source))

    def test_the_loss_is_the_squared_error_against_targets_that_know_nothing_of_the_input(self):
        output = nn.Linear(6, 3)
        heads = NoiseHeads(output, 4, gaussian_targets(0, 1), generator(1))
        inputs = torch.randn(5, 6, generator=generator(2))
        expected = generator(1)
        torch.rand(4, 6, generator=expected)  # the initial weights come first
        for scale in (1.0, -3.0):
            output(scale * inputs)
            targets = torch.randn(5, 4, generator=expected)
            predicted = scale * inputs @ heads.weight.T + heads.bias
            torch.testing.assert_close(heads.loss(), (predicted - targets).square().mean())

    def test_the_gradient_reaches_the_hidden_layer(self):
        hidden, output = nn.Linear(3, 6), nn.Linear(6, 2)
        heads = NoiseHeads(output, 4, constant_targets(1), generator())
        output(hidden(torch.ones(2, 3)))
        heads.loss().backward()
        assert hidden.weight.grad.any()
        assert output.weight.grad is None
        assert all(parameter.grad.any() for parameter in heads.parameters)

    def test_noise_makes_the_last_hidden_layer_more_alike(self, network, run):
        correlation = {}
        for noise in ("none", "gaussian"):
            params = {"noise": noise, "noise_outputs": 64, "gamma": 20.0, "probe_samples": 280}
            model = network("mlp", widths=[24, 24], activation="tanh")
            result = run(model, "noiseout", params, level=0.0, steps=120)
            correlation[noise] = result.notes["correlation"]["body.fc2"]
        assert correlation["gaussian"] > correlation["none"] + 0.1

    @pytest.mark.parametrize("noise", ["gaussian", "binomial", "constant", "none"])
    def test_in_the_end_the_network_is_as_it_was(self, network, run, noise):
        """No hook, no tensor more, and what it computes without heads is what it computed."""
        outputs, model = [], network("mlp", widths=[12])
        tensors = model.state_dict().keys()

        class Watched(NoiseOut):
            name = "watched"

            def finish(self, state):
                outputs.append(state.model(torch.ones(1, 1, 32, 32)))
                super().finish(state)

        method = Watched(Watched.Params(**FAST, noise=noise))
        run(model, method, level=0.0, steps=4)
        assert torch.equal(model(torch.ones(1, 1, 32, 32)), outputs[0])
        assert not any(part._forward_pre_hooks for part in model.modules())
        assert not any(part._forward_hooks for part in model.modules())
        assert model.state_dict().keys() == tensors

    def test_the_noise_is_in_the_loss_and_its_outputs_are_trained(self, network, run):
        """One step with noise differs from one without, and the heads' bias has moved."""
        biases = []

        class Watched(NoiseOut):
            name = "watched"

            def after_step(self, state):
                biases.append(self._heads.bias.detach().clone())
                super().after_step(state)

        run(network("mlp", widths=[12]), Watched(Watched.Params(**FAST)), level=0.0, steps=2)
        assert biases[0].any()
        assert not torch.equal(*biases)


@pytest.fixture
def started(network, digits) -> tuple[TrainState, Merger]:
    """A network with momentum and noise outputs, ready for a round."""
    model = network("mlp", widths=[20, 12], activation="tanh")
    images, labels = digits.train.images[:200].float() / 255, digits.train.labels[:200]
    layers = chain(model)
    heads = NoiseHeads(layers[-1].module, 6, gaussian_targets(0, 1), generator())
    optimiser = torch.optim.SGD([*model.parameters(), *heads.parameters], lr=0.1, momentum=0.9)
    state = TrainState(
        model=model, prunable=prunable(model), level=0.9, budget=10, optimiser=optimiser,
        generator=generator(), schedule=lambda _: 0.1, batches=lambda: iter([(images, labels)]),
    )  # fmt: skip
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(images), labels) + heads.loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    probe = Probe(state.train_batches(), 200)
    merger = Merger(layers, links_of(layers, state.prunable), probe, "correlation", heads)
    return state, merger


def everything(state: TrainState) -> list[torch.Tensor]:
    """A copy of all that a round may change."""
    kept = [value for group in state.optimiser.param_groups for value in group["params"]]
    kept += [v for key in kept for v in state.optimiser.state[key].values()]
    kept += [*state.model.buffers(), *state.masks.values()]
    return [tensor.detach().clone() for tensor in kept]


def are_equal(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


class TestRounds:
    def test_what_is_refused_is_undone_bit_by_bit(self, started):
        state, merger = started
        merger.merge(state, 5000, 5000, floor=-1.0)  # so that there are masks already
        before, training = everything(state), state.model.training
        assert not merger.merge(state, 0, 12_000, floor=2.0)
        assert are_equal(everything(state), before)
        assert merger.undone > 1
        assert state.model.training is training

    def test_a_round_that_is_undone_leaves_no_trace_in_the_next_step(self, started):
        state, merger = started
        merger.merge(state, 0, 12_000, floor=2.0)
        before = everything(state)
        merger.hold()
        assert are_equal(everything(state), before)

    def test_what_is_borne_goes_as_far_as_it_may(self, started):
        state, merger = started
        assert merger.merge(state, 0, 12_000, floor=-1.0)
        assert 12_000 - 1024 - 12 <= count_zeros(state.prunable) <= 12_000
        assert merger.undone == 0

    def test_the_goal_is_met_come_what_may(self, started):
        state, merger = started
        assert not merger.merge(state, 7000, 12_000, floor=2.0)
        assert 7000 <= count_zeros(state.prunable) <= 7000 + 1024 + 12

    def test_merging_goes_on_just_as_far_as_the_score_bears_it(self, started, monkeypatch):
        """With a score that falls with the zeros, the last merge is the last that it bears."""
        state, merger = started
        monkeypatch.setattr(
            merger._probe, "score", lambda model: -float(count_zeros(prunable(model)))
        )
        plan = merger._plan(state, 18_000)
        zeros = [merge.zeros for merge in plan]
        merger.merge(state, 0, 18_000, floor=-float(zeros[9]))
        assert count_zeros(state.prunable) == zeros[9]
        merger.merge(state, zeros[14], 18_000, floor=-float(zeros[12]))
        assert count_zeros(state.prunable) >= zeros[14]

    def test_masks_cover_what_went(self, started):
        state, merger = started
        merger.merge(state, 15_000, 15_000, floor=-1.0)
        for name, weight in state.prunable.items():
            assert torch.equal(state.masks[name], weight != 0)

    def test_the_noise_outputs_hand_over_too(self, started):
        """A unit that is another one's copy goes without a change in any of the outputs."""
        state, merger = started
        second = chain(state.model)[1].module
        with torch.no_grad():
            second.weight[3], second.bias[3] = -second.weight[5], -second.bias[5]
        heads, images = merger._heads, next(state.train_batches())[0]
        state.model(images)
        before = heads._read @ heads.weight.T + heads.bias
        (merge, *_) = [merge for merge in merger._plan(state, 20_000) if merge.place == 1]
        assert {merge.unit, merge.into} == {3, 5}
        carry_out(merger._links, [merge], state.optimiser, heads)
        state.model(images)
        after = heads._read @ heads.weight.T + heads.bias
        torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
        assert not heads.weight[:, merge.unit].any()
        assert not state.optimiser.state[heads.weight]["momentum_buffer"][:, merge.unit].any()


class TestProbe:
    def test_the_halves_are_apart_and_of_the_size_asked_for(self):
        batches = [(torch.full((4, 1), float(i)), torch.full((4,), i)) for i in range(10)]
        probe = Probe(iter(batches), 16)
        assert torch.cat(probe._to_fit).flatten().tolist() == [0.0] * 4 + [1.0] * 4
        assert torch.cat(probe._to_score).flatten().tolist() == [2.0] * 4 + [3.0] * 4
        assert probe._labels.tolist() == [2] * 4 + [3] * 4

    def test_a_single_batch_is_cut_in_two(self):
        probe = Probe([(torch.arange(6.0)[:, None], torch.arange(6))], 2000)
        assert len(torch.cat(probe._to_fit)) == len(torch.cat(probe._to_score)) == 3

    def test_accuracy(self):
        inputs, labels = torch.eye(4).repeat(2, 1), torch.tensor([0, 1, 2, 3, 0, 1, 2, 0])
        assert Probe([(inputs, labels)], 8).score(nn.Identity()) == 0.75

    def test_r2_of_a_regression(self):
        inputs = torch.randn(40, 1, generator=generator())
        labels = 0.5 * inputs.squeeze(1) + torch.randn(40, generator=generator(1))
        expected = r2_score(labels[20:], inputs[20:, 0])
        assert Probe([(inputs, labels)], 40).score(nn.Identity()) == pytest.approx(expected, 1e-5)


class TestLevels:
    @pytest.mark.parametrize("choose", ["correlation", "damage"])
    @pytest.mark.parametrize("level", [0.3, 0.8, 0.95])
    def test_met_exactly_with_the_rest_by_magnitude(self, network, run, level, choose):
        model = network("mlp", widths=[40, 30])
        result = run(model, "noiseout", {**FAST, "choose": choose}, level=level, steps=20)
        total = sum(weight.numel() for weight in prunable(model).values())
        assert count_zeros(prunable(model)) == zeros_at(level, total)
        left = result.notes["units"]
        widths = (left["body.fc1"], left["body.fc2"])
        units = total - (1024 * widths[0] + widths[0] * widths[1] + 10 * widths[1])
        assert zeros_at(level, total) - 1024 - 40 < units <= zeros_at(level, total)

    @pytest.mark.parametrize(("name", "widths"), [("mlp", [40, 30]), ("convnet", [12, 24])])
    def test_units_that_went_are_gone_as_a_whole_and_can_be_cut_out(
        self, network, run, name, widths
    ):
        model = network(name, widths=widths)
        result = run(model, "noiseout", FAST, level=0.8, steps=20)
        for layer, reader in pairwise(chain(model)):
            gone = ~layer.module.weight.flatten(1).any(1)
            assert int(gone.sum()) >= layer.units - result.notes["units"][layer.name] > 0
            assert not reader.module.weight[:, gone].any()
            norm = layer.batch_norm
            for tensor in (layer.module.bias, *((norm.weight, norm.bias) if norm else ())):
                assert tensor is None or not tensor[gone].any()
        compacted = robench.compact(model, torch.rand(4, 1, 32, 32, generator=generator()))
        for layer in chain(compacted)[:-1]:
            assert layer.units <= result.notes["units"][layer.name]

    def test_the_native_level_is_what_the_score_bears(self, network, run):
        """With a tolerance that bears everything it is the level; with a strict one less."""
        native = {}
        for tolerance in (0.999, 0.0):
            model = network("mlp", widths=[40, 30])
            params = {**FAST, "tolerance": tolerance}
            result = run(model, "noiseout", params, level=0.97, steps=60, learning_rate=0.1)
            assert result.level == pytest.approx(0.97, abs=1e-3)
            native[tolerance] = result.native
            assert result.notes["is_within_tolerance"] is (result.native == result.level)
        assert native[0.999] == pytest.approx(0.97, abs=1e-3)
        assert native[0.0] < 0.97

    def test_the_notes_are_plain_data(self, network, run):
        result = run(network("mlp", widths=[20]), "noiseout", FAST, level=0.5, steps=10)
        notes = json.loads(json.dumps(result.notes))
        assert set(notes) == {
            "correlation_before_merging", "correlation", "units", "attempts_undone",
            "probe_score", "probe_score_best", "is_within_tolerance",
        }  # fmt: skip
        assert 0 < notes["correlation_before_merging"]["body.fc1"] <= 1

    def test_the_same_seed_gives_the_same_network(self, network, run):
        models = [network("mlp", widths=[20, 10]) for _ in range(2)]
        for model in models:
            run(model, "noiseout", FAST, level=0.8, steps=12)
        for one, other in zip(*(model.parameters() for model in models), strict=True):
            assert torch.equal(one, other)

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_the_shortest_budgets_do(self, network, run, steps):
        model = network("mlp", widths=[20])
        assert run(model, "noiseout", FAST, level=0.5, steps=steps).level == pytest.approx(
            0.5, abs=1e-3
        )

    def test_beyond_one_unit_a_layer_it_says_what_can_be_reached(self, network, run):
        """One unit each leaves 1024 + 1 + 10 of 1024·8 + 8·6 + 6·10 weights."""
        model = network("mlp", widths=[8, 6])
        with pytest.raises(LevelNotReachedError, match="one unit left in each layer") as caught:
            run(model, "noiseout", FAST, level=0.9)
        assert not any(part._forward_pre_hooks for part in model.modules())
        assert caught.value.achieved == pytest.approx(1 - 1035 / 8300)
        assert run(model, "noiseout", FAST, level=0.875).level == pytest.approx(0.875, abs=1e-3)


class TestRefusals:
    @pytest.mark.parametrize(
        "params",
        [
            {"gamma": 0.0},
            {"gamma": float("nan")},
            {"noise": "uniform"},
            {"noise_outputs": 0},
            {"noise_std": 0.0},
            {"noise_mean": float("inf")},
            {"noise": "binomial", "noise_mean": 1.5},
            {"tolerance": 1.0},
            {"begin": 0.8, "end": 0.8},
            {"rounds": 0},
        ],
    )
    def test_parameters_out_of_range(self, params):
        with pytest.raises(ParameterError, match="noiseout"):
            make("noiseout", params)

    def test_networks_without_a_hidden_layer(self, network, digits):
        assert "no prunable layer" in make("noiseout").supports(network("mlp", widths=[]), digits)

    def test_networks_that_branch(self, digits):
        class Branching(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

            def forward(self, x):
                return self.first(x) + self.second(x)

        assert "not a chain" in make("noiseout").supports(Branching(), digits)

    def test_noise_outputs_need_a_linear_output(self, digits):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 10, 3), nn.Flatten())
        assert "need a Linear output" in make("noiseout").supports(model, digits)
        assert make("noiseout", {"noise": "none"}).supports(model, digits) is True

    def test_hardly_any_data(self, network, digits):
        few = replace(digits, train=digits.train.first(3))
        assert "at least 4" in make("noiseout").supports(network("mlp", widths=[8]), few)

    def test_units_that_are_mixed(self, run):
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(1024, 12), nn.LayerNorm(12), nn.Linear(12, 10)
        )  # fmt: skip
        with pytest.raises(NotApplicableError, match="one by one"):
            run(model, "noiseout", FAST, level=0.5)

    def test_a_layer_whose_units_are_mixed_is_left_alone(self, run):
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(1024, 12), nn.LayerNorm(12), nn.Linear(12, 9), nn.Tanh(),
            nn.Linear(9, 10),
        )  # fmt: skip
        result = run(model, "noiseout", FAST, level=0.01)
        assert result.notes["units"].keys() == {"3"}
        assert model[1].weight.any(1).all()

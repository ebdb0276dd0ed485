"""NoiseOut as a method: levels, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

import robench
from robench.errors import LevelNotReachedError, NotApplicableError, ParameterError
from robench.methods.base import make
from robench.methods.masks import count_zeros, zeros_at
from robench.models.base import prunable
from robench.models.chain import chain
from tests.methods.noiseout.rounds import FAST, generator


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

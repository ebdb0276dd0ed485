"""Noise outputs and their targets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.methods.noiseout.heads import (
    NoiseHeads,
    binomial_targets,
    constant_targets,
    gaussian_targets,
)
from robench.methods.noiseout.method import NoiseOut
from tests.methods.noiseout.rounds import FAST, generator


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

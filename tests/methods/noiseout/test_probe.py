"""Measuring a network on images that are set aside."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn

from robench.methods.noiseout.probe import Probe
from tests.methods.noiseout.rounds import generator


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

"""Biases and BatchNorm parameters of removed units are held at zero, and no others."""

from __future__ import annotations

import torch
from torch import nn

from robench.methods.tools.frozen_units import Silence
from robench.models.chain import chain


def test_what_adds_to_removed_units_is_zero_after_every_step() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )
    layers = chain(model)
    removed = torch.tensor([True, False, True, False])
    held = Silence()
    held.add(layers[0], removed)
    for _ in range(2):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        before = model[4].bias.clone()
        held.apply()
        for tensor in (model[0].bias, model[1].weight, model[1].bias):
            assert (tensor[removed] == 0).all()
            assert (tensor[~removed] != 0).all()
        assert torch.equal(model[4].bias, before)


def test_single_values_can_be_held() -> None:
    bias = torch.ones(3)
    held = Silence()
    held.hold(bias, torch.tensor([False, True, False]))
    held.apply()
    assert bias.tolist() == [1, 0, 1]

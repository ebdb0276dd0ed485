from __future__ import annotations

import math

import pytest
import torch

from robench.data.objective import objective


def test_classes_cost_their_surprise() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.8], [0.5, 0.5]]))
    loss = objective(logits, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2)


def test_targets_cost_their_squared_distance() -> None:
    loss = objective(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 5.0]))
    assert loss.item() == pytest.approx((1 + 4) / 2)

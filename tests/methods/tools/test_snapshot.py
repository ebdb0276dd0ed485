"""Going back: weights, statistics and momentum, bit by bit."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from robench.methods.tools.snapshot import Snapshot


def setting(kind: type[torch.optim.Optimizer], **options: float) -> SimpleNamespace:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    return SimpleNamespace(model=model, optimiser=kind(model.parameters(), lr=0.05, **options))


def train(state: SimpleNamespace, steps: int, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        state.optimiser.zero_grad()
        state.model(torch.randn(8, 4, generator=generator)).square().mean().backward()
        state.optimiser.step()
    return copy.deepcopy(state.model.state_dict())


def is_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.parametrize(
    ("kind", "options"), [(torch.optim.SGD, {"momentum": 0.9}), (torch.optim.Adam, {})]
)
@pytest.mark.parametrize("before", [0, 3])
def test_the_same_steps_after_going_back_give_the_same_network(kind, options, before):
    state = setting(kind, **options)
    train(state, before, seed=1)
    snapshot = Snapshot(state)
    first = train(state, 5, seed=2)
    for _ in range(2):  # as often as one likes
        train(state, 4, seed=3)
        snapshot.restore(state)
        assert is_equal(train(state, 5, seed=2), first)
    without_going_back = train(state, 5, seed=2)
    assert not is_equal(without_going_back, first)

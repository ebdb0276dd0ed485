"""Bisection along a ray: never longer, never out of the box, never a lost adversarial."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.attacks.core.bisection import bisect_ray
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle

UNIT = st.floats(0, 1, width=32)


def network(seed: int, inputs: int = 4, classes: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, classes)).eval()


@settings(deadline=None, max_examples=60)
@given(
    images=st.lists(st.lists(UNIT, min_size=4, max_size=4), min_size=1, max_size=5),
    points=st.lists(st.lists(UNIT, min_size=4, max_size=4), min_size=5, max_size=5),
    seed=st.integers(0, 5),
    steps=st.integers(1, 12),
)
def test_invariants(
    images: list[list[float]], points: list[list[float]], seed: int, steps: int
) -> None:
    starts = torch.tensor(images)
    ends = torch.tensor(points[: len(starts)])
    oracle = Oracle(check_inputs(network(seed), starts, None))
    adversarial = oracle.is_adversarial(oracle.query(ends, oracle.rows), oracle.rows)
    shorter = bisect_ray(oracle, ends, oracle.rows, steps=steps)
    assert ((shorter >= 0) & (shorter <= 1)).all()
    before, after = (ends - starts).norm(dim=1), (shorter - starts).norm(dim=1)
    assert (after <= before * (1 + 1e-6) + 1e-7).all()
    still = oracle.is_adversarial(oracle.query(shorter, oracle.rows), oracle.rows)
    assert (still | ~adversarial).all()
    moved = (shorter != ends).any(dim=1)
    assert (still | ~moved).all()
    assert (oracle.forwards == steps + 2).all()


def test_it_finds_the_boundary_to_a_part_in_4096() -> None:
    model = nn.Linear(1, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0], [1.0]]))
        model.bias.copy_(torch.tensor([0.3, 0.0]))  # class 1 from 0.3 on
    oracle = Oracle(check_inputs(model.eval(), torch.tensor([[0.1], [0.2]]), None))
    # Two ends for one row, and rows out of order.
    rows = torch.tensor([1, 0, 1])
    shorter = bisect_ray(oracle, torch.tensor([[1.0], [0.9], [0.4]]), rows)
    reached = shorter[:, 0] - torch.tensor([0.2, 0.1, 0.2])
    true, ray = torch.tensor([0.1, 0.2, 0.1]), torch.tensor([0.8, 0.8, 0.2])
    assert ((reached >= true - 1e-6) & (reached <= true + ray / 4096 + 1e-6)).all()
    assert oracle.best_distance.tolist() == pytest.approx([0.2, 0.1], abs=2.1e-4)

"""Operators without multiply-accumulates: names of torch, and none that multiplies matrices."""

from __future__ import annotations

import pytest
import torch

from robench.measure.counter import count_operations
from robench.measure.free_operators import FREE
from tests.networks import Net


def test_names_are_without_underscores_at_the_ends() -> None:
    assert all(name == name.strip("_") for name in FREE)


@pytest.mark.parametrize("name", ["mm", "addmm", "bmm", "convolution", "linear", "matmul", "addmv"])
def test_what_multiplies_matrices_is_not_free(name: str) -> None:
    assert name not in FREE
    assert hasattr(torch.ops.aten, name)


def test_free_operators_cost_nothing() -> None:
    model = Net(
        lambda m, x: torch.cat([x.softmax(1), x.cumsum(1), x.roll(1, 1)], 1).sort(1).values,
        layer=torch.nn.Linear(1, 1),
    ).eval()
    assert count_operations(model, torch.rand(2, 4)).macs == 0

"""Constant branches of sums are replaced by their constant."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import nn

from robench.compaction.branches import drop_constant_branches
from robench.compaction.pruning_plan import Policy
from robench.graph.trace import traced_copy
from tests.networks import Net

IMAGES = torch.rand(1, 3, 5, 5, dtype=torch.float64)


def residual(sum_of=operator.add, *, bias: float = 0.0, padding: int = 0) -> Net:
    """x + b(a(x)) with b all zero but for its bias."""
    model = Net(
        lambda m, x: sum_of(m.b(m.a(x)), x),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(4, 3, 1 + 2 * padding, padding=padding),
    ).double()
    nn.init.zeros_(model.b.weight)
    nn.init.constant_(model.b.bias, bias)
    return model.eval()


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_branch_of_zeros_leaves_nothing_and_another_its_constant(bias: float) -> None:
    module = traced_copy(residual(bias=bias))
    (found,) = drop_constant_branches(module, IMAGES, Policy())
    assert found.edit.kind == ("constant" if bias else "drop")
    assert (found.constant is None) == (bias == 0)
    assert not found.at_one_size
    assert torch.equal(module(IMAGES), IMAGES + bias)
    assert not any(isinstance(part, nn.Conv2d) for part in module.modules())


def test_a_branch_that_something_is_subtracted_from_keeps_its_zeros() -> None:
    module = traced_copy(residual(operator.sub))
    (found,) = drop_constant_branches(module, IMAGES, Policy())
    assert found.edit.kind == "constant"
    assert torch.equal(module(IMAGES), -IMAGES)


def test_a_constant_with_a_border_stays_unless_a_map_may_be_left() -> None:
    model = residual(padding=1)
    with torch.no_grad():
        model.a.weight.zero_()
        model.b.weight.fill_(0.1)
    assert drop_constant_branches(traced_copy(model), IMAGES, Policy()) == []
    module = traced_copy(model)
    (found,) = drop_constant_branches(module, IMAGES, Policy("bias-map"))
    assert found.constant is not None
    assert found.constant.shape == (1, 3, 5, 5)
    assert found.at_one_size
    torch.testing.assert_close(module(IMAGES), model(IMAGES))


def test_a_branch_that_varies_stays() -> None:
    model = residual()
    nn.init.ones_(model.b.weight[:1])
    assert drop_constant_branches(traced_copy(model), IMAGES, Policy()) == []

"""Which channels a step counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.compaction.counts import ChannelCounts
from robench.graph.trace import Traced, traced_copy
from tests.networks import Net


@pytest.mark.parametrize(
    ("forward", "counted"),
    [
        (lambda m, x: (y := m.a(x)).mean((2, 3)) / y.shape[1], {"a"}),
        (lambda m, x: (y := m.a(x)).mean((2, 3)) / y.size(-3), {"a"}),
        (lambda m, x: (y := m.a(x)).mean((2, 3)) / y.numel(), {"a"}),
        (lambda m, x: (y := m.a(x)).mean((2, 3)) * (2 * y.shape[:2][1] - 1), {"a"}),
        (lambda m, x: (y := m.a(x)).mean((2, 3)) / y.shape[2], set()),
        (lambda m, x: (y := m.a(x)).mean((2, 3)) / y.shape[2:][1], set()),
        (lambda m, x: (y := m.a(x)).view(y.size(0), -1), set()),
    ],
)
def test_the_last_step_counts(forward, counted: set[str]) -> None:
    model = Net(forward, a=nn.Conv2d(3, 4, 1)).double().eval()
    traced = Traced(traced_copy(model), torch.rand(1, 3, 5, 6).double())
    last = [node for node in traced.nodes if traced.kinds[node] not in ("form", "output")][-1]
    assert {node.name for node in ChannelCounts(traced).used_by(last)} == counted

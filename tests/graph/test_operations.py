"""What each step does to channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.graph.operations import is_batch_norm, is_layer, unit_count
from robench.graph.trace import Traced, traced_copy
from tests.networks import Net


def kinds(forward: Callable[[Any, Tensor], Any]) -> list[str]:
    """Kinds of all steps but the input, the first convolution and the output."""
    model = Net(forward, a=nn.Conv2d(3, 4, 3, padding=1), n=nn.BatchNorm2d(4)).double().eval()
    traced = Traced(traced_copy(model), torch.rand(1, 3, 6, 6).double())
    return [traced.kinds[node] for node in traced.nodes][2:-1]


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda m, x: m.n(m.a(x)).relu(), ["norm", "each"]),
        (lambda m, x: F.max_pool2d(m.a(x), 2).flatten(1), ["each", "flatten"]),
        (lambda m, x: m.a(x) + 1.0, ["each"]),
        (lambda m, x: (y := m.a(x)) + y.relu(), ["each", "sum"]),
        (lambda m, x: (y := m.a(x)) * y.sigmoid(), ["each", "product"]),
        (lambda m, x: torch.cat([m.a(x), x], 1), ["concatenate"]),
        (lambda m, x: m.a(x).chunk(2, 1)[0], ["split", "piece"]),
        (lambda m, x: F.pad(m.a(x), (0, 0, 0, 0, 1, 1)), ["pad"]),
        (lambda m, x: F.pad(m.a(x), (1, 1, 1, 1)), ["each"]),
        (lambda m, x: m.a(x).softmax(1), ["other"]),
        (lambda m, x: m.a(x).roll(1, 1), ["other"]),
    ],
)
def test_kinds_of_steps(forward, expected: list[str]) -> None:
    assert kinds(forward) == expected


def test_subclasses_that_compute_something_else_are_no_layers() -> None:
    class Doubled(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            return 2 * super().forward(rows)

    assert is_layer(nn.Conv1d(2, 3, 1))
    assert not is_layer(Doubled(2, 3))
    assert not is_layer(nn.ReLU())
    assert is_batch_norm(nn.BatchNorm3d(2))
    assert not is_batch_norm(nn.InstanceNorm2d(2))
    assert (unit_count(nn.Linear(2, 3)), unit_count(nn.ConvTranspose2d(2, 5, 1))) == (3, 5)

"""What steps do to height and width: borders, and maps that are equally large at every size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.compaction.spatial import border_value, extents, pads_with_zeros
from robench.graph.trace import Traced, traced_copy
from tests.networks import Net


def traced(forward: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> Traced:
    model = Net(forward, **parts, own=nn.Conv2d(2, 2, 1)).double().eval()
    return Traced(traced_copy(model), torch.rand(1, 2, 8, 8).double())


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (nn.Conv2d(2, 2, 3, padding=1), 0.0),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), None),
        (nn.Conv2d(2, 2, 3, padding="same"), 0.0),
        (nn.Conv2d(2, 2, 1, padding="same"), None),
        (nn.Conv2d(2, 2, 3), None),
        (nn.ConvTranspose2d(2, 2, 2, 2), 0.0),
        (nn.ConstantPad2d(1, 3.5), 3.5),
        (nn.MaxPool2d(3, 1, 1), None),
        (nn.MaxPool2d(3, 1, 1, dilation=2), float("-inf")),
        (nn.AvgPool2d(3, 1, 1), 0.0),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), None),
        (nn.AvgPool2d(2, divisor_override=3), None),
        (nn.ReLU(), None),
    ],
)
def test_what_lies_outside_the_maps(part, value: float | None) -> None:
    found = traced(lambda m, x: m.part(m.own(x)), part=part)
    node = next(node for node in found.nodes if node.target == "part")
    assert border_value(found, node) == value


def test_paddings_by_a_function() -> None:
    found = traced(lambda m, x: F.pad(m.own(x), (1, 1), value=2.0))
    assert border_value(found, found.nodes[-2]) == 2.0
    found = traced(lambda m, x: F.pad(m.own(x), (0, 0, 0, 0, 1, 1)))  # channels, no border
    assert border_value(found, found.nodes[-2]) is None


@pytest.mark.parametrize(
    ("one", "other", "is_equal"),
    [
        (nn.Conv2d(2, 2, 3, padding=1), nn.Identity(), True),
        (nn.Conv2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 1, 2), True),  # both ceil(size / 2)
        (nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 5, padding=1), True),  # both size - 2
        (nn.MaxPool2d(2), nn.MaxPool2d(2, ceil_mode=True), False),
        (nn.Conv2d(2, 2, 3), nn.Identity(), False),
    ],
)
def test_maps_that_are_equally_large_at_every_size(one, other, is_equal: bool) -> None:
    found = traced(lambda m, x: m.one(x).mean((2, 3)) + m.other(x).mean((2, 3)), one=one,
                   other=other)  # fmt: skip
    sides = {str(node.target): extent for node, extent in extents(found).items()}
    assert (sides["one"] == sides["other"]) is is_equal


def test_only_plain_convolutions_pad_with_zeros() -> None:
    assert pads_with_zeros(nn.Conv1d(1, 1, 3, padding=1))
    assert not pads_with_zeros(nn.ConvTranspose1d(1, 1, 3, padding=1))
    assert not pads_with_zeros(nn.Conv2d(1, 1, 3, padding="valid"))

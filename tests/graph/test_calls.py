"""Arguments of traced steps: the same value however forward() passed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx

from robench.graph.calls import (
    argument,
    channel_padding,
    cut_sizes,
    is_flatten,
    operands,
    padding_amounts,
)
from tests.networks import Net


def last_call(forward: Callable[[Any, Tensor], Any]) -> fx.Node:
    nodes = fx.symbolic_trace(Net(forward)).graph.nodes
    return [node for node in nodes if node.op.startswith("call_")][-1]


@pytest.mark.parametrize(
    "forward",
    [lambda m, x: torch.cat((x, x), 1), lambda m, x: torch.cat(tensors=(x, x), dim=1)],
)
def test_arguments_by_position_and_by_name(forward) -> None:
    node = last_call(forward)
    assert argument(node, 1, "dim", 0) == 1
    assert len(operands(node)) == 2
    assert argument(node, 2, "out", "none") == "none"


@pytest.mark.parametrize(
    ("forward", "sizes"),
    [
        (lambda m, x: x.chunk(3, 1), (3, 3, 1)),
        (lambda m, x: torch.split(x, [2, 5], dim=1), (2, 5)),
        (lambda m, x: torch.split(x, [2, 6], dim=1), None),  # there are 7 channels
        (lambda m, x: torch.tensor_split(x, 2, dim=1), (4, 3)),
    ],
)
def test_sizes_of_the_pieces_of_a_split(forward, sizes) -> None:
    assert cut_sizes(last_call(forward), 7) == sizes


def test_padding_of_channels() -> None:
    node = last_call(lambda m, x: F.pad(x, (1, 1, 2, 2, 3, 4)))
    assert padding_amounts(node) == (1, 1, 2, 2, 3, 4)
    # Two dimensions lie behind the channels of [N, C, H, W], none behind those of [N, C].
    assert channel_padding((1, 1, 2, 2, 3, 4), 2) == (3, 4)
    assert channel_padding((1, 1), 2) == (0, 0)
    assert channel_padding((5, 6), 0) == (5, 6)


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda m, x: torch.flatten(x, 1), True),
        (lambda m, x: x.flatten(start_dim=1), True),
        (lambda m, x: x.view(x.size(0), -1), True),
        (lambda m, x: x.view(-1, 12), False),
        (lambda m, x: x.flatten(2), False),
    ],
)
def test_flattening_to_rows(forward, expected: bool) -> None:
    assert is_flatten(last_call(forward)) is expected

"""A network as a graph: steps, values, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from robench.errors import CompactionError
from robench.graph.trace import Traced, traced_copy
from tests.networks import Net


def traced(model: nn.Module) -> Traced:
    return Traced(traced_copy(model.double().eval()), torch.rand(1, 3, 6, 6).double())


def test_values_are_kept_although_the_next_step_works_in_place() -> None:
    found = traced(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)))
    _, conv, relu, _ = found.nodes
    assert (found.values[conv] < 0).any()
    assert torch.equal(found.values[relu], found.values[conv].relu())
    assert found.layers == [conv]
    assert found.channels(conv) == 4
    assert torch.equal(found.read(relu), found.values[conv])


def test_a_view_that_is_written_over_while_others_read_it() -> None:
    def forward(m, x):
        maps = m.a(x)
        return maps.flatten(2).add_(1).sum(2) + maps.mean((2, 3))

    found = traced(Net(forward, a=nn.Conv2d(3, 4, 1)))
    assert {node.name for node in found.overwritten} == {"a"}


def test_pieces_of_a_split() -> None:
    found = traced(Net(lambda m, x: m.a(x).split([1, 3], 1)[1], a=nn.Conv2d(3, 4, 1)))
    split, piece = found.nodes[2:4]
    assert found.piece_sizes(split) == [1, 3]
    assert found.pieces(piece, torch.arange(4)).tolist() == [1, 2, 3]


def test_shared_layers_and_computed_weights_are_refused() -> None:
    twice = Net(lambda m, x: m.a(m.a(x)), a=nn.Conv2d(3, 3, 1))
    with pytest.raises(CompactionError, match="'a' is called twice"):
        traced_copy(twice.eval())
    pruned = nn.Sequential(nn.Conv2d(3, 4, 1)).eval()
    prune.random_unstructured(pruned[0], "weight", 0.5)
    with pytest.raises(CompactionError, match="computed on each call"):
        traced_copy(pruned)

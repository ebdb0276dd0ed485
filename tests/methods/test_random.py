"""Random pruning: exact levels, another mask for another seed, layers alike where asked."""

from __future__ import annotations

import pytest
import torch

from robench.methods.base import make
from robench.methods.random import Random


def test_each_layer_gets_the_level_where_that_is_asked_for(network, run) -> None:
    masks = run(network("mlp", widths=[40]), "random", {"scope": "layer"}, level=0.75).masks
    for mask in masks.values():
        assert (~mask).double().mean().item() == pytest.approx(0.75, abs=1 / mask.numel() + 1e-9)


def test_the_mask_is_the_seeds_and_no_weights(network, run) -> None:
    one, same = (run(network("mlp", widths=[8]), "random", level=0.5).masks for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    grown = network("mlp", widths=[8])
    with torch.no_grad():
        for parameter in grown.parameters():
            parameter.mul_(3)
    other = run(grown, "random", level=0.5).masks
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert isinstance(make("random"), Random)

"""The network of a cell: the same start for all methods, and its checkpoint's weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from robench.data import load
from robench.errors import StoreError
from robench.models.base import prunable
from robench.spec import Cell, PluginRef
from robench.stages.base import Context
from robench.stages.network import fresh_network, parent_checkpoint, trained_network
from robench.training.checkpoint import Checkpoint

SMALL = PluginRef(name="mlp", version=1, params={"widths": [8]})


def context(**more: object) -> Context:
    return Context(load=lambda: load("digits"), device=torch.device("cpu"), **more)


def test_methods_and_levels_of_one_seed_start_from_the_same_weights(
    make_cell: Callable[..., Cell],
) -> None:
    one = fresh_network(make_cell(model=SMALL, level=0.5), context())
    other = fresh_network(
        make_cell(model=SMALL, level=0.9, method=PluginRef(name="l1", version=1)), context()
    )
    third = fresh_network(make_cell(model=SMALL, seed=1), context())
    pairs = list(zip(one.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert any(
        not torch.equal(a, b) for a, b in zip(one.parameters(), third.parameters(), strict=True)
    )


def test_a_trained_network_is_that_of_its_parent_in_evaluation_mode(
    make_cell: Callable[..., Cell],
) -> None:
    cell = make_cell(model=SMALL, seed=3)
    source = fresh_network(make_cell(model=SMALL, seed=4), context())
    masks = {name: weight.detach() > 0 for name, weight in prunable(source).items()}
    with torch.no_grad():
        for name, weight in prunable(source).items():
            weight.mul_(masks[name])
    found = trained_network(cell, context(parent=lambda: Checkpoint.of(source, masks)))
    assert not found.training
    for name, weight in prunable(found).items():
        assert torch.equal(weight, prunable(source)[name])


def test_a_cell_without_a_parent_has_no_checkpoint() -> None:
    with pytest.raises(StoreError, match="no checkpoint"):
        parent_checkpoint(context())

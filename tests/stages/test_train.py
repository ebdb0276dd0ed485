"""Training as a cell: budgets, start networks, and networks from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.methods.base import make
from robench.spec import Cell, PluginRef, Recipe
from robench.stages.train import _budget

RECIPE = Recipe(dense_steps=30, sparse_steps=12, learning_rate=0.1, sparse_learning_rate=0.02)


@pytest.mark.parametrize(
    ("method", "fields", "is_trained", "expected"),
    [
        # The shared dense network, and what goes on from it.
        ("dense", {"role": "start"}, False, (30, 0.1)),
        ("magnitude", {"parent": "0" * 16}, False, (12, 0.02)),
        # From scratch a method has the sum of both.
        ("halo", {}, False, (42, 0.1)),
        ("magnitude", {}, False, (42, 0.1)),
        # One network for all levels is trained whole, and its levels are of the same budget.
        ("halo", {"role": "start"}, False, (42, 0.1)),
        ("halo", {"parent": "0" * 16}, True, (42, 0.1)),
    ],
)
def test_nobody_trains_longer_than_the_others(
    make_cell: Callable[..., Cell],
    method: str,
    fields: dict[str, object],
    is_trained: bool,
    expected: tuple[int, float],
) -> None:
    cell = make_cell(method=PluginRef(name=method, version=1), recipe=RECIPE, **fields)
    steps, rate = _budget(cell, make(method), is_trained=is_trained)
    assert steps == expected[0]
    assert rate == pytest.approx(expected[1])

"""The dense control: nothing is removed, and the budget is the same."""

from __future__ import annotations

from robench.methods.base import HOOKS, Method
from robench.methods.dense import Dense


def test_it_fills_no_hook() -> None:
    assert all(getattr(Dense, hook) is getattr(Method, hook) for hook in HOOKS)


def test_no_weight_is_zero_and_every_step_is_taken(network, run) -> None:
    result = run(network("mlp", widths=[8]), "dense", level=0.0, steps=7)
    assert (result.level, result.native, result.steps) == (0.0, 0.0, 7)
    assert all(mask.all() for mask in result.masks.values())

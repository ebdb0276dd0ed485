"""Recipes: their budgets, and what cannot be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from robench.spec import Recipe


def test_from_scratch_is_the_sum_of_both_phases() -> None:
    assert Recipe(dense_steps=30, sparse_steps=12).total_steps == 42
    assert Recipe(dense_steps=0, sparse_steps=1).total_steps == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"sparse_steps": 0},
        {"dense_steps": -1},
        {"learning_rate": 0.0},
        {"momentum": 1.0},
        {"milestones": (0.5, 1.0)},
        {"optimiser": "adagrad"},
        {"dense_steps": 5, "sparse_steps": 5, "warmup_steps": 10},
        {"epochs": 3},
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe(**fields)

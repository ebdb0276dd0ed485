"""The path of λ: up, back, and between, on networks that are a formula."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.methods.tools.lambda_path import LambdaPath


def follow(path: LambdaPath, level_at, target: float, segments: int) -> None:
    """Segments of ten steps of a network that comes to ``level_at(λ)`` at once."""
    for _ in range(segments):
        if path.is_over:
            return
        level = level_at(path.strength)
        if level > target:
            path.went_beyond(10, level)
        else:
            path.stayed_below(10, level)


def test_a_path_by_hand():
    path = LambdaPath(1e-3, 4, target=0.8)
    path.stayed_below(10, 0.1)
    assert path.strength == 4e-3
    path.went_beyond(3, 0.95)
    assert path.strength == pytest.approx(2e-3)  # the geometric mean
    path.stayed_below(10, 0.5)
    assert path.strength == pytest.approx(math.sqrt(2e-3 * 4e-3))
    assert not path.is_over
    path.stayed_below(10, 0.795)
    assert path.is_over
    assert [segment["undone"] for segment in path.notes] == [False, True, False, False]
    assert [segment["level"] for segment in path.notes] == [0.1, 0.95, 0.5, 0.795]
    assert [segment["steps"] for segment in path.notes] == [10, 3, 10, 10]


@settings(max_examples=50, deadline=None)
@given(
    target=st.floats(0.3, 0.99),
    middle=st.floats(-4, 0),
    first=st.floats(-4, 0),
    factor=st.floats(1.3, 5),
)
def test_where_the_level_is_a_formula_of_lambda_it_is_found(target, middle, first, factor):
    """From below as from above, whatever the scale."""
    reached = []

    def level_at(strength: float) -> float:
        reached.append(1 / (1 + (10**middle / strength) ** 1.5))
        return reached[-1]

    path = LambdaPath(10**first, factor, target)
    follow(path, level_at, target, segments=80)
    assert path.is_over
    below = max(level for level in reached if level <= target)
    assert target - below < 0.01
    assert target - below <= 0.1 * (1 - target) + 1e-12


def test_a_level_that_jumps_closes_the_bracket():
    path = LambdaPath(1e-3, 2, target=0.5)
    follow(path, lambda strength: 0.0 if strength < 3.3e-3 else 1.0, 0.5, segments=50)
    assert path.is_over
    assert path.strength == pytest.approx(3.3e-3, rel=0.02)


def test_a_factor_of_one_keeps_lambda_and_makes_one_entry():
    path = LambdaPath(1e-3, 1, target=0.9)
    for level in (0.1, 0.4, 0.8):
        path.stayed_below(10, level)
        assert path.strength == 1e-3
        assert not path.is_over
    path.went_beyond(10, 0.95)
    assert path.is_over
    assert path.notes == [
        {"lambda_g": 1e-3, "steps": 30, "level": 0.8, "undone": False},
        {"lambda_g": 1e-3, "steps": 10, "level": 0.95, "undone": True},
    ]


def test_high_levels_must_be_met_more_closely():
    """At 0.99, one weight in a hundred fewer would be twice as many as asked for."""
    path = LambdaPath(1e-3, 2, target=0.99)
    path.stayed_below(10, 0.985)
    assert not path.is_over
    path.stayed_below(10, 0.9895)
    assert path.is_over

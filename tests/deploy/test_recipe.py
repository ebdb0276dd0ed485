"""Recipes are written as JSON and read again."""

from __future__ import annotations

import json

import pytest

from robench.deploy.recipe import Recipe


def test_it_is_written_and_read() -> None:
    recipe = Recipe(
        (3, 8, 8), "float64", "planar", "frozen", {"0": "wide"}, {"2": "direct", "0": "dense"},
        {"plain": {"1": 0.5}}, {"optimised": "not equal"},
    )  # fmt: skip
    found = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert found == recipe
    assert list(found.planar) == ["2", "0"]  # the order in which forms are given counts


def test_an_unknown_execution_is_refused() -> None:
    with pytest.raises(ValueError, match="'fastest'"):
        Recipe.from_json({**Recipe((3,)).to_json(), "many": "fastest"})
    with pytest.raises(TypeError):
        Recipe.from_json({**Recipe((3,)).to_json(), "more": 1})

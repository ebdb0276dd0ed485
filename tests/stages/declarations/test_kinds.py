"""Degradations as the options of a cell have them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.degradations import DEGRADATIONS
from robench.spec import Cell
from robench.stages.declarations.kinds import (
    DegradeOptions,
    ResolvedKind,
    kinds_in,
    named_kinds,
    resolve_kinds,
)


def test_a_kind_has_its_own_levels_unless_others_are_asked_for() -> None:
    found = resolve_kinds({"contrast": (), "rotation": (90.0,)})
    assert found["contrast"].levels == DEGRADATIONS["contrast"]
    assert found["rotation"].levels == (90.0,)
    # robench's own has no code, and ids of before do not know the field.
    assert "code" not in found["contrast"].model_dump()
    assert ResolvedKind(version=1, levels=(), code="ff").model_dump()["code"] == "ff"


def test_kinds_of_a_cell_are_told_with_their_code(make_cell: Callable[..., Cell]) -> None:
    kinds = {"contrast": {"version": 1, "levels": [0.5]}, "mine": {"version": 1, "code": "ff"}}
    cell = make_cell(stage="degrade", options={"kinds": kinds})
    assert list(kinds_in(cell)) == [
        ("degradations", "contrast", None),
        ("degradations", "mine", "ff"),
    ]
    assert list(kinds_in(make_cell())) == []


@pytest.mark.parametrize("given", ["contrast", ["contrast"], ("contrast",)])
def test_one_kind_needs_no_brackets(given: object) -> None:
    options = DegradeOptions(kinds=given)
    assert options.kinds == ("contrast",)
    assert list(options.plugins()) == [(("kinds", 0), "degradations", "contrast")]
    assert list(named_kinds("all")) == []

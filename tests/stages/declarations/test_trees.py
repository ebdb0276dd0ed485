"""The declaration of the stage trees: tables alone."""

from __future__ import annotations

import sys

import pytest

from robench.errors import RobenchError
from robench.stages.declarations.trees import Trees, TreesOptions


@pytest.mark.parametrize(
    ("data", "applies"), [("digits", False), ("breast-cancer", True), ("friedman1", True)]
)
def test_it_applies_to(premises, data: str, applies: bool) -> None:
    found = Trees().applies_to(premises(data).data)
    assert (found is True) == applies
    assert found is True or "data" in found


def test_a_library_that_is_not_installed_is_told_before_anything_is_trained(
    premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = TreesOptions(library="lightgbm")
    assert Trees().resolve(TreesOptions(), premises("breast-cancer")) == TreesOptions()
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(RobenchError, match="lightgbm"):
        Trees().resolve(asked, premises("breast-cancer"))

"""The declaration of the stage degrade: kinds with their versions and levels."""

from __future__ import annotations

import pytest

from robench.degradations import DEGRADATIONS
from robench.stages.declarations.degrade import Degrade
from robench.stages.declarations.kinds import DegradeOptions


@pytest.mark.parametrize(
    ("data", "applies"), [("digits", True), ("breast-cancer", False), ("friedman1", False)]
)
def test_it_applies_to(premises, data: str, applies: bool) -> None:
    found = Degrade().applies_to(premises(data).data)
    assert (found is True) == applies
    assert found is True or "data" in found


def test_kinds_have_their_versions_and_levels(premises) -> None:
    found = Degrade().resolve(DegradeOptions(kinds=["contrast"], samples=5), premises("digits"))
    assert list(found.kinds) == ["contrast"]
    assert found.kinds["contrast"].levels == DEGRADATIONS["contrast"]
    assert found.samples == 5
    every = Degrade().resolve(DegradeOptions(), premises("digits"))
    # Grey images have no colour to lose.
    assert "greyscale" not in every.kinds or "opponent" not in every.kinds
    assert set(every.kinds) <= set(DEGRADATIONS)

"""The declaration of the stage corrupt: which kinds, severities and constants."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from robench.stages.declarations.corrupt import Corrupt, CorruptOptions


@pytest.mark.parametrize(
    ("data", "applies"), [("digits", True), ("breast-cancer", False), ("friedman1", False)]
)
def test_it_applies_to(premises, data: str, applies: bool) -> None:
    found = Corrupt().applies_to(premises(data).data)
    assert (found is True) == applies
    assert found is True or "data" in found


def test_small_images_are_corrupted_by_the_constants_of_cifar_10_c(premises) -> None:
    asked = CorruptOptions(kinds=["fog"], severities=[2])
    found = Corrupt().resolve(asked, premises("digits"))
    assert (found.kinds, found.severities, found.constants) == (("fog",), (2,), "cifar-10-c")
    assert found.missing is None


@pytest.mark.parametrize("fields", [{"severities": [0]}, {"severities": [6]}, {"kinds": []}])
def test_what_there_is_not_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CorruptOptions(**fields)

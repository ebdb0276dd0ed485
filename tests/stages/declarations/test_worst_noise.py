"""The declaration of the stage worst_noise."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from robench.stages.declarations.worst_noise import WorstNoise, WorstNoiseOptions
from robench.training.worst_noise import WORST_NOISE_VERSION


@pytest.mark.parametrize(
    ("data", "applies"), [("digits", True), ("breast-cancer", False), ("friedman1", False)]
)
def test_it_applies_to(premises, data: str, applies: bool) -> None:
    found = WorstNoise().applies_to(premises(data).data)
    assert (found is True) == applies
    assert found is True or "data" in found


def test_the_version_of_the_noise_is_part_of_the_cell(premises) -> None:
    found = WorstNoise().resolve(WorstNoiseOptions(steps=3), premises("digits"))
    assert (found.steps, found.version) == (3, WORST_NOISE_VERSION)


@pytest.mark.parametrize("fields", [{"steps": 0}, {"rms": 0.0}, {"rms": 1.0}, {"generator": "b"}])
def test_what_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WorstNoiseOptions(**fields)

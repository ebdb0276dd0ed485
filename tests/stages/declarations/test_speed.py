"""The declaration of the stage speed: alone on the machine, and for this machine."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from robench.measure.machine import hardware_key
from robench.measure.speed import SPEED_VERSION
from robench.stages.declarations.speed import Speed, SpeedOptions


@pytest.mark.parametrize(
    ("data", "applies"), [("digits", True), ("breast-cancer", True), ("friedman1", True)]
)
def test_it_applies_to(premises, data: str, applies: bool) -> None:
    found = Speed().applies_to(premises(data).data)
    assert (found is True) == applies
    assert found is True or "data" in found


def test_machine_and_version_are_part_of_the_cell(premises) -> None:
    found = Speed().resolve(SpeedOptions(batch_sizes=[2]), premises("digits"))
    assert found.batch_sizes == (2,)
    assert found.machine == hardware_key("cpu")
    assert found.version == SPEED_VERSION
    assert Speed.is_timed


@pytest.mark.parametrize("fields", [{"repeats": 29}, {"batch_sizes": []}, {"forms": ["fast"]}])
def test_what_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SpeedOptions(**fields)

"""Details by their models, and which stages warn or need no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from robench.board.model.details import details_of, flagged_stages, stages_without_networks
from robench.spec import Cell, Record, StageOptions
from robench.stages import STAGES
from robench.stages.base import Context, FlaggedDetails, Outcome, Stage
from robench.stages.calibration import CalibrationDetails


class Warns(Stage[StageOptions]):
    """Somebody else's."""

    name = "warns"
    Details = FlaggedDetails
    needs_network = False

    def run(self, cell: Cell, context: Context) -> Outcome:
        return Outcome()


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(STAGES._entries)
    STAGES.add("warns", Warns, source="a test")
    yield
    STAGES._entries = before


def test_robenchs_own() -> None:
    assert flagged_stages() == {"train", "attack", "worst_noise"}
    assert stages_without_networks() == {"layers"}


@pytest.mark.usefixtures("registered")
def test_a_plugin_follows_from_its_declaration() -> None:
    assert "warns" in flagged_stages()
    assert "warns" in stages_without_networks()


def test_details_of_another_version_are_none(make_cell: Callable[..., Cell]) -> None:
    cell = make_cell(stage="calibration")
    whole = {"reliability": [], "conditions": ["clean"], "left_out": {}}
    found = details_of(
        Record(id=cell.id, cell=cell, status="ok", details=whole), CalibrationDetails
    )
    assert found == CalibrationDetails(reliability=(), conditions=("clean",), left_out={})
    other = Record(id=cell.id, cell=cell, status="ok", details={"bars": []})
    assert details_of(other, CalibrationDetails) is None

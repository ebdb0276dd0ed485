"""The options of a cell have everything that can change its number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from robench.data import load
from robench.engine.resolve import check_code, own_options, resolve_options
from robench.errors import PluginError
from robench.spec import STAGE_KEY, Cell, PluginRef, StageOptions
from robench.stages import STAGES
from robench.stages.base import Context, Outcome, Premises, Stage


class Second(Stage[StageOptions]):
    """Somebody else's."""

    name = "second"
    version = 2

    def run(self, cell: Cell, context: Context) -> Outcome:
        return Outcome()


class Fails(Second):
    """It cannot resolve."""

    name = "fails"

    def resolve(self, asked: StageOptions, premises: Premises) -> StageOptions:
        raise ZeroDivisionError("none")


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(STAGES._entries)
    STAGES.add("second", Second, source="a test", code="ff")
    STAGES.add("fails", Fails, source="a test")
    yield
    STAGES._entries = before


@pytest.mark.usefixtures("registered")
def test_version_and_code_of_a_plugin_are_there_and_of_robenchs_own_are_not() -> None:
    premises = Premises(load("digits"), "cpu")
    assert resolve_options("second", StageOptions(), premises) == {
        STAGE_KEY: {"version": 2, "code": "ff"}
    }
    assert own_options("degrade") == {}
    with pytest.raises(PluginError, match="the stage 'fails' raised ZeroDivisionError"):
        resolve_options("fails", StageOptions(), premises)


@pytest.mark.usefixtures("registered")
def test_a_cell_of_other_code_is_refused(make_cell: Callable[..., Cell]) -> None:
    own = {STAGE_KEY: {"version": 2, "code": "ff"}}
    check_code(make_cell(stage="second", options=own))
    old = {STAGE_KEY: {"version": 2, "code": "ee"}}
    with pytest.raises(PluginError, match="the code of the stage 'second' changed"):
        check_code(make_cell(stage="second", options=old))
    edited = PluginRef(name="halo", version=1, code="ab")
    with pytest.raises(PluginError, match="method 'halo' changed"):
        check_code(make_cell(method=edited))

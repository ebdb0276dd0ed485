"""Which stages a suite asks for: lists, mappings, and what is wrong."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from robench.spec import Evaluations
from robench.stages import STAGES


def test_a_list_and_a_mapping_mean_the_same() -> None:
    as_list = Evaluations.model_validate(["speed", "attack"])
    as_mapping = Evaluations.model_validate({"speed": True, "attack": {}})
    assert as_list == as_mapping
    assert list(as_list.options) == ["speed", "attack"]
    assert Evaluations.model_validate({"speed": None}).options == {}
    assert as_list.get("degrade") is None


def test_options_are_checked_by_the_stage_that_declares_them() -> None:
    asked = Evaluations.model_validate({"attack": {"suite": "l2-quick", "samples": 7}})
    options = asked.get("attack")
    assert isinstance(options, STAGES.get("attack").Options)
    assert options.samples == 7
    with pytest.raises(ValidationError) as caught:
        Evaluations.model_validate({"attack": {"samples": 0}, "speed": {"repeat": 3}})
    places = {problem["loc"][-2:] for problem in caught.value.errors()}
    assert places == {("attack", "samples"), ("speed", "repeat")}


@pytest.mark.parametrize("given", [["train"], ["layers"], {"atack": True}, [{"speed": 1}], 3])
def test_what_no_suite_may_ask_for(given: object) -> None:
    with pytest.raises(ValidationError):
        Evaluations.model_validate(given)


def test_names_are_the_stages_under_evaluate() -> None:
    assert "train" not in Evaluations.names()
    assert {"speed", "attack", "calibration"} <= set(Evaluations.names())

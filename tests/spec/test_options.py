"""Plug-ins by name, and lists of one value without brackets."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from robench.spec import PluginChoice
from robench.spec.options import StageOptions, listed


@pytest.mark.parametrize(
    ("given", "name", "params"),
    [
        ("halo", "halo", {}),
        ({"name": "halo", "xi": 1e-5}, "halo", {"xi": 1e-5}),
        ({"name": "halo", "params": {"xi": 1}}, "halo", {"xi": 1}),
    ],
)
def test_a_name_or_a_mapping(given: object, name: str, params: dict[str, object]) -> None:
    choice = PluginChoice.model_validate(given)
    assert (choice.name, choice.params) == (name, params)


@pytest.mark.parametrize("given", [{"xi": 1}, 7, ["halo"], {"name": 3}])
def test_what_names_nothing_is_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        PluginChoice.model_validate(given)


def test_a_single_value_stands_for_a_list() -> None:
    assert listed("a") == ["a"]
    assert listed({"name": "a"}) == [{"name": "a"}]
    assert listed(["a", "b"]) == ["a", "b"]
    assert listed(None) is None


def test_options_name_no_plugins_of_their_own_accord() -> None:
    options = StageOptions()
    assert list(options.plugins()) == []
    assert options.with_guests([("attack", "mine")]) is options

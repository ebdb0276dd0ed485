"""Names of targets are looked up before anything is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.conformance.named import ALL, check_is_there, is_file, registries_with
from robench.errors import PluginError, UnknownNameError
from robench.registry import all_registries


def test_a_misspelt_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="there is no plug-in 'magnitud'") as caught:
        check_is_there("magnitud")
    assert "magnitude" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError):
        check_is_there(tmp_path / "none.py")


@pytest.mark.parametrize("target", ["magnitude", "deepfool", "ece", ALL, Path(__file__)])
def test_what_is_there_is_accepted(target: str | Path) -> None:
    check_is_there(target)


def test_a_path_is_a_file_by_its_ending_or_because_it_exists(tmp_path: Path) -> None:
    assert is_file("none.py")
    assert not is_file("magnitude")
    (tmp_path / "plugin").write_text("")
    assert is_file(tmp_path / "plugin")


def test_a_name_leads_to_the_registries_that_hold_it() -> None:
    assert registries_with("deepfool") == [all_registries()["attacks"]]
    assert registries_with("magnitude") == [all_registries()["methods"]]

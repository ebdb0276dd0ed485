from __future__ import annotations

import pytest

from robench.blame import blamed_on
from robench.errors import DataError, PluginError


def faulty(deeper: bool = True) -> None:
    if deeper:
        faulty(deeper=False)
    raise ZeroDivisionError


def test_the_last_line_of_the_plugins_own_file_is_named() -> None:
    message = "the thing 'mine' raised ZeroDivisionError"
    with pytest.raises(PluginError, match=message) as caught, blamed_on("thing", "mine", faulty):
        faulty()
    assert caught.value.where == f"{__file__}:{faulty.__code__.co_firstlineno + 3}"


@pytest.mark.parametrize("ending", [SystemExit(0), GeneratorExit()])
def test_a_plugin_cannot_end_the_process(ending: BaseException) -> None:
    with pytest.raises(PluginError, match=type(ending).__name__), blamed_on("thing", "mine", 3):
        raise ending


@pytest.mark.parametrize("passing", [DataError("of robench itself"), KeyboardInterrupt()])
def test_errors_of_robench_and_interrupts_pass(passing: BaseException) -> None:
    with pytest.raises(type(passing)), blamed_on("thing", "mine", faulty):
        raise passing

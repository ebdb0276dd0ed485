"""Methods that break one rule each, and the line on which they do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from robench.conformance import Subject, subjects_of

PLUGINS = Path(__file__).parents[1] / "plugins"


@pytest.fixture(scope="session")
def unruly() -> dict[str, Subject]:
    """The methods of tests/plugins/unruly.py, by the rule that they break."""
    made = subjects_of(PLUGINS / "unruly.py")
    return {subject.name.removeprefix("breaks-"): subject for subject in reversed(made)}


@pytest.fixture
def line_marked_here() -> Callable[[type], str]:
    """``"file:line"`` of the line of a class that ends with ``# here``."""

    def find(kind: type) -> str:
        lines, first = inspect.getsourcelines(kind)
        (line,) = [number for number, text in enumerate(lines, first) if "# here" in text]
        return f"{inspect.getsourcefile(kind)}:{line}"

    return find

"""The examples, and the registries as they were before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from robench.plugin_files import load_plugin
from robench.registry import all_registries

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture
def registries() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    before = {word: dict(registry._entries) for word, registry in all_registries().items()}
    yield
    for word, registry in all_registries().items():
        registry._entries = before[word]


@pytest.fixture
def example(registries: None, request: pytest.FixtureRequest) -> ModuleType:
    """``example("aurc")``: that file, imported and registered."""
    from robench.plugin_files import import_plugin_file

    def load(name: str) -> ModuleType:
        load_plugin(FOLDER / f"{name}.py")
        return import_plugin_file(FOLDER / f"{name}.py")

    return load  # type: ignore[return-value]

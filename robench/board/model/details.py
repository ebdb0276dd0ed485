"""The details of a record by the model that its stage declares, never by bare strings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from robench.errors import PluginError
from robench.spec import Record
from robench.stages import STAGES
from robench.stages.base import FlaggedDetails, Stage

__all__ = ["details_of", "flagged_stages", "stages_without_networks"]

_Details = TypeVar("_Details", bound=BaseModel)


def details_of(record: Record, model: type[_Details]) -> _Details | None:
    """The details of a record; `None` where they are those of another version of the stage.

    Args:
        record: of the stage that declares `model`.
        model: the stage's ``Details``.
    """
    try:
        return model.model_validate(record.details)
    except ValidationError:
        return None


def flagged_stages() -> frozenset[str]:
    """The stages that may warn of their own figures."""
    return _names_of(STAGES.names())[0]


def stages_without_networks() -> frozenset[str]:
    """The stages whose records belong to no network, and so to no row."""
    return _names_of(STAGES.names())[1]


@lru_cache(maxsize=8)
def _names_of(names: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    flagged, others = set(), set()
    for name, stage in _declarations(names):
        if stage.Details is not None and issubclass(stage.Details, FlaggedDetails):
            flagged.add(name)
        if not stage.needs_network:
            others.add(name)
    return frozenset(flagged), frozenset(others)


def _declarations(names: tuple[str, ...]) -> Iterator[tuple[str, type[Stage[Any]]]]:
    for name in names:
        with suppress(PluginError):  # of a stage that cannot be imported here, nothing is known
            yield name, STAGES.get(name)

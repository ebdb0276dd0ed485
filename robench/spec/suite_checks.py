"""Checks of a suite as a whole: names that exist, and no value given twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robench.errors import SuiteError
from robench.registry import all_registries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import BaseModel

    from robench.spec.evaluations import Evaluations
    from robench.spec.suite import Grid, Suite

__all__ = ["check_suite"]

_Place = tuple[str | int, ...]


def check_suite(suite: Suite) -> None:
    """Check the names in a suite, and that no list gives a value twice.

    Raises:
        SuiteError: a value is given twice.
        UnknownNameError: a method, model, data set, attack or degradation that does not exist.
    """
    for index, grid in enumerate(suite.grids):
        at: _Place = () if suite.is_flat else ("grids", index)
        for place, registry, name in _names(grid):
            all_registries()[registry].check(name, where=suite.locate(*at, *place))
        for place, values in _lists(grid):
            _check_distinct(suite, (*at, *place), values)


def _names(grid: Grid) -> Iterator[tuple[_Place, str, str]]:
    """Where each name stands, the registry that must know it, and the name."""
    for key, kind in (("data", "datasets"), ("models", "models"), ("methods", "methods")):
        for place, choice in enumerate(getattr(grid, key)):
            yield (key, place), kind, choice.name
    for place, distortion in enumerate(grid.distortions):
        for kind in distortion.degradations if distortion is not None else ():
            yield ("distortions", place), "degradations", kind
    yield from _names_evaluated(grid.evaluate)


def _names_evaluated(evaluate: Evaluations) -> Iterator[tuple[_Place, str, str]]:
    for stage, options in evaluate.options.items():
        for place, registry, name in options.plugins():
            yield ("evaluate", stage, *place), registry, name


def _lists(grid: Grid) -> Iterator[tuple[_Place, Sequence[object]]]:
    """Where each list of a grid stands, and what it holds."""
    for key in ("data", "models", "methods", "levels", "seeds", "distortions"):
        yield (key,), getattr(grid, key)
    for stage, options in grid.evaluate.options.items():
        for key, values in _fields(options):
            if isinstance(values, tuple):
                yield ("evaluate", stage, key), values


def _fields(model: BaseModel) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(model, name)) for name in type(model).model_fields)


def _check_distinct(suite: Suite, at: _Place, values: Sequence[object]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise SuiteError(
                f"{at[-1]}: {_shown(value)} is given twice",
                where=suite.locate(*at, place),
                hint="keep one of them",
            )


def _shown(value: object) -> str:
    for attribute in ("name", "label"):
        if hasattr(value, attribute):
            return repr(getattr(value, attribute))
    return "none" if value is None else repr(value)

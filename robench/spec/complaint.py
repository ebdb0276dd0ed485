"""Turns what pydantic has to say about a suite into one message that a person can act on."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from robench.errors import SuiteError, nearest_names
from robench.spec.source import Source

__all__ = ["suite_error"]

_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def suite_error(
    error: ValidationError, source: Source, *, model: type[BaseModel], flat: bool
) -> SuiteError:
    """The first complaint in full, and how many more there are.

    Args:
        error: what pydantic found.
        source: where the keys of the file stand.
        model: what the file was checked against.
        flat: the file has no `grids`, so that the first grid's keys stand at the top.
    """
    complaints = error.errors()
    first = complaints[0]
    loc = tuple(first["loc"])
    where = source.locate(_place_in_file(loc, source, flat=flat))
    more = len(complaints) - 1
    hint = f"mend this first; {more} more problem{'s' * (more > 1)} in this file" if more else None
    key = ".".join(str(step) for step in _place_in_file(loc, source, flat=flat)) or "the suite"

    if first["type"] == "extra_forbidden":
        return _unknown_key(str(loc[-1]), _known_keys(loc[:-1], model), where, hint)
    if first["type"] == "missing":
        return SuiteError(f"the key {key!r} is missing", where=where, hint=hint)
    return SuiteError(
        f"{key}: {_reason(first)} (got {_shown(first['input'])})",
        where=where,
        allowed=_allowed(loc, first),
        hint=hint,
    )


def _place_in_file(
    loc: tuple[str | int, ...], source: Source, *, flat: bool
) -> tuple[str | int, ...]:
    steps = loc
    if steps[:1] == ("grids",) and len(steps) > 1 and (flat or steps not in source.lines):
        inherited = steps[2:]
        if flat or inherited[:1] in {line[:1] for line in source.lines}:
            steps = inherited
    return steps


def _unknown_key(key: str, known: list[str], where: str, more: str | None) -> SuiteError:
    near = nearest_names(key, known)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else more
    return SuiteError(f"there is no key {key!r} here", where=where, allowed=known, hint=hint)


def _known_keys(loc: tuple[str | int, ...], top: type[BaseModel]) -> list[str]:
    """The keys that may stand at a place; those of a grid may stand at the top as well."""
    places = [loc] if loc else [(), ("grids", 0)]
    models = [model for place in places if (model := _model_at(place, top)) is not None]
    return sorted({key for model in models for key in model.model_fields})


def _reason(problem: Any) -> str:
    message = str(problem["msg"])
    return message.removeprefix("Value error, ").removeprefix("Input ").strip()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(loc: tuple[str | int, ...], problem: Any) -> str | None:
    context = problem.get("ctx", {})
    if "expected" in context:
        return str(context["expected"])
    bounds = [f"{sign} {context[name]}" for name, sign in _BOUNDS if name in context]
    if loc and "levels" in loc:
        return "sparsity levels in [0, 1)"
    return " and ".join(bounds) or None


def _model_at(loc: tuple[str | int, ...], top: type[BaseModel]) -> type[BaseModel] | None:
    """The model whose field a location names, by walking the annotations from `top`."""
    annotation: object = top
    for step in loc:
        if isinstance(step, int):
            annotation = _models_in(annotation)
            continue
        model = _models_in(annotation)
        if model is None or step not in model.model_fields:
            continue
        annotation = model.model_fields[step].annotation
    return _models_in(annotation)


def _models_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple, typing.Annotated):
        for part in typing.get_args(annotation):
            found = _models_in(part)
            if found is not None:
                return found
    return None

"""Turns what pydantic has to say about a suite into one message that a person can act on."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from robench.errors import SuiteError, nearest_names
from robench.spec.evaluations import Evaluations
from robench.spec.source import Source

__all__ = ["suite_error"]

_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
_WORDS = {
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
}
"""pydantic's types of errors, in the words of a suite file."""


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
    complaints = _by_place(error, model)
    loc, about = next(iter(complaints.items()))
    first = about[0]
    place = _place_in_file(loc, source, flat=flat)
    where = source.locate(place)
    more = len(complaints) - 1
    hint = f"mend this first; {more} more problem{'s' * (more > 1)} in this file" if more else None
    key = ".".join(map(str, place)) or "the suite"

    if first["type"] == "extra_forbidden":
        return _unknown_key(str(loc[-1]), _known_keys(loc[:-1], model), where, hint)
    if first["type"] == "missing":
        return SuiteError(f"the key {key!r} is missing", where=where, hint=hint)
    allowed = [text for problem in about if (text := _allowed(loc, problem)) is not None]
    return SuiteError(
        f"{key}: {_reason(first)} (got {_shown(first['input'])})",
        where=where,
        allowed=" or ".join(dict.fromkeys(allowed)) or None,
        hint=hint,
    )


def _by_place(
    error: ValidationError, model: type[BaseModel]
) -> dict[tuple[str | int, ...], list[Any]]:
    """What is wrong, by where: all branches of a union complain of one value.

    A list whose only value is wrong is not empty as well, although pydantic says so.
    """
    found: dict[tuple[str | int, ...], list[Any]] = {}
    for problem in error.errors():
        found.setdefault(_without_branches(problem["loc"], model), []).append(problem)
    follow = [
        loc
        for loc, about in found.items()
        if all(problem["type"] == "too_short" for problem in about)
        and any(other[: len(loc)] == loc for other in found if other != loc)
    ]
    return {loc: about for loc, about in found.items() if loc not in follow}


def _without_branches(loc: tuple[str | int, ...], top: type[BaseModel]) -> tuple[str | int, ...]:
    """A location without the names of the branches of unions that pydantic puts in.

    An unknown key is the last step, and kept.
    """
    kept: tuple[str | int, ...] = ()
    for step in loc:
        model = _model_at(kept, top)
        is_branch = isinstance(step, str) and (
            model is None or (_annotation_of(model, step) is None and step != loc[-1])
        )
        if not is_branch:
            kept = (*kept, step)
    return kept


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
    return sorted({key for model in models for key in _keys_of(model)})


def _reason(problem: Any) -> str:
    words = _WORDS.get(problem["type"])
    if words is not None:
        return words
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
        found = _annotation_of(model, step) if model is not None else None
        if found is None:
            continue
        annotation = found
    return _models_in(annotation)


def _keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a mapping of a suite file may have."""
    return Evaluations.names() if model is Evaluations else list(model.model_fields)


def _annotation_of(model: type[BaseModel], key: str) -> object | None:
    """What stands under a key; `None` where there is no such key."""
    if model is Evaluations:
        return Evaluations.model_of(key)
    return model.model_fields[key].annotation if key in model.model_fields else None


def _models_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple, typing.Annotated):
        for part in typing.get_args(annotation):
            found = _models_in(part)
            if found is not None:
                return found
    return None

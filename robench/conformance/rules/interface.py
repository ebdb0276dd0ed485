"""Rules of methods that need no training: the file, the class and the parameters."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from robench.conformance.lines import line_in
from robench.conformance.observer import source_files
from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.rules.common import imports_cleanly
from robench.errors import UsageError
from robench.methods import METHODS
from robench.methods.base import make
from robench.spec import PluginChoice, PluginRef
from robench.spec.identity import canonical_json
from robench.spec.params import parse_params
from robench.spec.plugins import resolve_plugin

if TYPE_CHECKING:
    from robench.conformance.subject import Subject
    from robench.methods.base import Method

__all__ = ["RULES"]


@rule("define what `robench.methods.base.Method` lists, or start the name of the class with _")
def interface(subject: Subject) -> str:
    """The class has a name, a version, frozen parameters, and hooks that accept the state."""
    if subject.refusal is not None:
        raise BrokenError(subject.refusal, subject.line_of())
    return f"version {subject.kind.version}, {subject.kind.structure}, {subject.kind.starts_from}"


@rule("give every parameter a default that its type and range allow")
def defaults_in_schema(subject: Subject) -> str:
    """Every parameter has a default, and the schema accepts it."""
    if subject.refusal is not None:
        raise SkippedError("robench does not take the class for a method; see `interface`")
    if problem := subject.problem_of_defaults():
        raise BrokenError(problem, _line_of_params(subject))
    return f"{len(subject.kind.Params.model_fields)} parameters"


@rule("declare float parameters with Field(allow_inf_nan=False) or with both bounds")
def refuses_nan(subject: Subject) -> str:
    """No float parameter accepts NaN or infinity."""
    floats = [
        name
        for name, value in subject.params
        if isinstance(value, float) and not isinstance(value, bool)
    ]
    for name in floats:
        for value in (float("nan"), float("inf"), -float("inf")):
            if _takes(subject.params, name, value):
                raise BrokenError(f"{name!r} takes {value!r}", _line_of_params(subject))
    return f"{len(floats)} numbers" if floats else "there are no numbers"


@rule("use plain types: numbers, text, tuples of them; no Any, no objects")
def params_round_trip(subject: Subject) -> str:
    """Parameters written as JSON and read again are the same parameters."""
    variants = list(_variants(subject.params))
    for params in variants:
        try:
            text = canonical_json(params.model_dump(mode="json"))
            again = type(params).model_validate_json(text)
        except (ValidationError, ValueError, TypeError) as error:
            why = f"{params!r} does not survive JSON: {str(error).splitlines()[0]}"
            raise BrokenError(why, _line_of_params(subject)) from None
        if again != params:
            raise BrokenError(f"{params!r} comes back as {again!r}", _line_of_params(subject))
    return f"{len(variants)} sets of parameters"


@rule("do not change `self.params`; store derived values in other attributes")
def keeps_params(subject: Subject) -> str:
    """The constructor stores the parameters as `self.params`, unchanged."""
    variants = list(_variants(subject.params))
    for params in variants:
        before = params.model_dump_json()
        method = _made(subject, params)
        if method.params != params or params.model_dump_json() != before:
            raise BrokenError(f"{params!r} became {method.params!r}", subject.line_of("__init__"))
    if _made(subject, None).params != subject.params:
        raise BrokenError("without parameters it has others than the defaults")
    return f"{len(variants)} sets of parameters"


@rule("register the class under its `name`, and make everything configurable a parameter")
def travels_by_name(subject: Subject) -> str:
    """Name and parameters, all that a worker process receives, recreate the method."""
    subject.make()
    try:
        reference = resolve_plugin(METHODS, PluginChoice(name=subject.name))
        received = PluginRef.model_validate_json(reference.model_dump_json())
        again = make(received.name, received.params)
    except UsageError as error:
        raise BrokenError(error.what, error.where or subject.line_of()) from None
    if type(again) is not subject.kind:
        raise BrokenError(
            f"the name {subject.name!r} leads to {type(again).__qualname__}, not to "
            f"{subject.kind.__qualname__}",
            subject.line_of(),
        )
    return f"{reference.label} version {reference.version}"


RULES = (
    interface,
    imports_cleanly,
    defaults_in_schema,
    refuses_nan,
    params_round_trip,
    keeps_params,
    travels_by_name,
)


def _made(subject: Subject, params: BaseModel | None) -> Method:
    try:
        return subject.kind(params)
    except Exception as error:
        where = line_in(source_files(subject.kind), error.__traceback__)
        raise BrokenError(
            f"the constructor raised {type(error).__name__}: {error}",
            where or subject.line_of("__init__"),
        ) from error


def _line_of_params(subject: Subject) -> str | None:
    try:
        line = inspect.getsourcelines(subject.kind.Params)[1]
        return f"{inspect.getsourcefile(subject.kind.Params)}:{line}"
    except (OSError, TypeError):
        return subject.line_of()


def _takes(params: BaseModel, name: str, value: object) -> bool:
    values = {key: getattr(params, key) for key in type(params).model_fields}
    try:
        type(params).model_validate({**values, name: value})
    except ValidationError:
        return False
    return True


def _variants(params: BaseModel) -> Iterator[BaseModel]:
    """The defaults, and with each of the other words, flags and `None` that a parameter takes."""
    yield params
    owner = f"{type(params).__qualname__}"
    for name, field in type(params).model_fields.items():
        for value in _choices(field.annotation):
            if value != getattr(params, name) and _takes(params, name, value):
                values = {key: getattr(params, key) for key in type(params).model_fields}
                yield parse_params(owner, type(params), {**values, name: value})


def _choices(annotation: Any) -> list[object]:
    """The values of a type that has only a few."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    few: dict[object, list[object]] = {bool: [False, True], type(None): [None]}
    return few.get(annotation, [])

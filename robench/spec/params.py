"""Parameters of a plug-in: what the user wrote, checked against what the plug-in declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from robench.errors import ParameterError, PluginError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_params_schema", "parse_params"]

P = TypeVar("P", bound=BaseModel)


def parse_params(
    owner: str, schema: type[P], values: Mapping[str, object] | P | None, where: str | None = None
) -> P:
    """The parameters of a plug-in, with its defaults for those that are not named.

    Args:
        owner: kind and name of the plug-in for the message, such as ``"model 'mlp'"``.
        schema: the plug-in's frozen `Params`.
        values: name → value; an instance of `schema` is returned as it is.
        where: file and line of the text that asked.

    Raises:
        ParameterError: an unknown parameter, a missing one, or a value out of its range.
    """
    if isinstance(values, schema):
        return values
    try:
        return schema.model_validate(dict(values or {}))
    except ValidationError as error:
        problem = error.errors()[0]
    except Exception as error:  # a validator that a plug-in brings along
        raise PluginError(
            f"{owner}: checking its parameters raised {type(error).__name__}: {error}", where=where
        ) from error
    name = ".".join(str(part) for part in problem["loc"])
    known = sorted(schema.model_fields)
    if problem["type"] == "extra_forbidden":
        near = nearest_names(name, known)
        raise ParameterError(
            f"{owner} has no parameter {name!r}",
            where=where,
            allowed=known or "no parameters at all",
            hint=f"did you mean {' or '.join(map(repr, near))}?" if near else None,
        )
    if problem["type"] == "missing":
        raise ParameterError(f"{owner} needs the parameter {name!r}", where=where)
    message = problem["msg"].removeprefix("Value error, ")
    raise ParameterError(
        f"{owner}: the parameter {name!r} cannot be {problem['input']!r}: {message}", where=where
    )


def check_params_schema(plugin: object) -> str | None:
    """Why the `name`, `version` or `Params` of a plug-in class will not do; `None` if they will."""
    name, version = getattr(plugin, "name", None), getattr(plugin, "version", None)
    schema = getattr(plugin, "Params", None)
    if not isinstance(name, str) or not name:
        return "it has no `name`"
    if not isinstance(version, int) or version < 1:
        return f"its `version` is {version!r}, not a whole number from 1"
    if not isinstance(schema, type) or not issubclass(schema, BaseModel):
        return "its `Params` is not a pydantic model"
    if not schema.model_config.get("frozen"):
        return "its `Params` is not frozen: derive it from robench.spec.base.Frozen"
    return None

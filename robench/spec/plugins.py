"""A plug-in as a suite chooses it, resolved to all that can change a number."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from robench.errors import ParameterError
from robench.registry import Registry
from robench.spec.cell import PluginRef
from robench.spec.options import PluginChoice
from robench.spec.params import parse_params

__all__ = ["resolve_plugin"]


def resolve_plugin(
    registry: Registry[Any], choice: PluginChoice, *, where: str | None = None
) -> PluginRef:
    """A plug-in with its version and all its parameters, defaults included.

    Raises:
        ParameterError: names the parameter, the value, and what is allowed.
    """
    plugin = registry.get(choice.name, where=where)
    schema: type[BaseModel] | None = getattr(plugin, "Params", None)
    version: int = getattr(plugin, "version", 1)
    # The path in the name of a file's family is not part of what the file is.
    name: str = getattr(plugin, "name", choice.name) if ":" in choice.name else choice.name
    location = choice.name if name != choice.name else None
    code = registry.code(choice.name)
    if schema is None:
        if choice.params:
            raise ParameterError(
                f"the {registry.kind} {choice.name!r} takes no parameters", where=where
            )
        return PluginRef(name=name, version=version, code=code, location=location)
    params = parse_params(f"{registry.kind} {choice.name!r}", schema, choice.params, where)
    resolved: dict[str, JsonValue] = params.model_dump(mode="json")
    defaults = _defaults(schema)
    changed = tuple(key for key in resolved if resolved[key] != defaults.get(key))
    return PluginRef(
        name=name,
        version=version,
        params=resolved,
        changed=changed,
        code=code,
        location=location,
    )


def _defaults(schema: type[BaseModel]) -> dict[str, JsonValue]:
    """The parameters that have defaults, as JSON; a required one counts as changed."""
    try:
        return schema().model_dump(mode="json")
    except ValidationError:
        return {
            name: field.default
            for name, field in schema.model_fields.items()
            if not field.is_required()
        }

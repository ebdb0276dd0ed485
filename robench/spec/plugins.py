"""A plug-in as a suite chooses it, resolved to all that can change a number."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from robench.errors import ParameterError
from robench.escape import for_terminal
from robench.registry import Registry
from robench.spec.cell import PluginRef
from robench.spec.options import PluginChoice
from robench.spec.params import parse_params

__all__ = ["resolve_plugin"]

_LABELLED_KINDS = ("data set", "model", "method")
_LONGEST_LABEL = 60


def resolve_plugin(
    registry: Registry[Any], choice: PluginChoice, *, where: str | None = None
) -> PluginRef:
    """A plug-in with its version and all its parameters, defaults included.

    Raises:
        ParameterError: names the parameter, the value, and what is allowed.
    """
    plugin = registry.get(choice.name, where=where)
    choice, own_label = _label_apart(registry, choice, plugin, where)
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
        return PluginRef(
            name=name, version=version, code=code, location=location, own_label=own_label
        )
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
        own_label=own_label,
    )


def _label_apart(
    registry: Registry[Any], choice: PluginChoice, plugin: object, where: str | None
) -> tuple[PluginChoice, str | None]:
    """The choice without its label, and the label.

    Where the plug-in has a parameter of this name, as tables have for the column to predict, it is
    the parameter.
    """
    schema: type[BaseModel] | None = getattr(plugin, "Params", None)
    is_parameter = schema is not None and "label" in schema.model_fields
    if "label" not in choice.params or is_parameter or registry.kind not in _LABELLED_KINDS:
        return choice, None
    params = {key: value for key, value in choice.params.items() if key != "label"}
    label = choice.params["label"]
    if (
        not isinstance(label, str)
        or label != label.strip()
        or not 1 <= len(label) <= _LONGEST_LABEL
        or for_terminal(label) != label
    ):
        raise ParameterError(
            f"the label {label!r} of the {registry.kind} {choice.name!r} cannot be shown",
            where=where,
            allowed=f"1 to {_LONGEST_LABEL} printable characters, no spaces around them",
        )
    return choice.model_copy(update={"params": params}), label


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

"""What a cell is given: plug-ins and options, resolved to all that can change its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, JsonValue, ValidationError

from robench.errors import ParameterError, PluginError
from robench.registry import Registry, all_registries
from robench.spec import (
    Cell,
    CorruptOptions,
    Distortion,
    PluginChoice,
    PluginRef,
    ResolvedKind,
    as_json,
)
from robench.spec.params import parse_params

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from robench.data.base import Data

__all__ = ["check_code", "resolve_drawn", "resolve_options", "resolve_plugin"]


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


def check_code(cell: Cell) -> None:
    """Refuse a cell whose plug-ins are not the code that it was planned with.

    Raises:
        PluginError: a plug-in file was edited since.
    """
    extra, kinds = cell.options.get("extra"), cell.options.get("kinds")
    guests = extra if isinstance(extra, list) else []
    shown = kinds.items() if isinstance(kinds, dict) else ()
    asked: list[tuple[str, str, object]] = [
        ("datasets", cell.data.location or cell.data.name, cell.data.code),
        ("models", cell.model.location or cell.model.name, cell.model.code),
        ("methods", cell.method.name, cell.method.code),
        *(("attacks", str(g["name"]), g.get("code")) for g in guests if isinstance(g, dict)),
        *(("degradations", name, k.get("code")) for name, k in shown if isinstance(k, dict)),
    ]
    rooms = all_registries()
    for room, name, code in asked:
        if code is not None and rooms[room].code(name) != code:
            raise PluginError(
                f"the code of the {rooms[room].kind} {name!r} changed while the suite was running",
                hint="run the suite again: its cells will be new ones",
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


def resolve_options(
    stage: str,
    options: dict[str, JsonValue],
    data: Data,
    device: str,
    data_root: Path | None,
) -> dict[str, JsonValue]:
    """Options with everything that can change the number: versions, kinds, and the machine.

    Args:
        stage: of the cell.
        options: as the suite gives them, as JSON.
        data: the data set, loaded.
        device: ``cpu`` or ``cuda``.
        data_root: where data sets lie that are not embedded.
    """
    if stage == "speed":
        from robench.measure.machine import hardware_key
        from robench.measure.speed import SPEED_VERSION

        options["machine"] = hardware_key(device)
        options["version"] = SPEED_VERSION
    if stage == "attack":
        from robench.engine.attacks import resolve_attack

        options = resolve_attack(options, data)
    if stage == "trees":
        from robench.measure.boosting import check_library

        check_library(str(options["library"]))
    if stage == "degrade":
        options["kinds"] = _resolve_kinds(options["kinds"], data)
    if stage == "worst_noise":
        from robench.training.worst_noise import WORST_NOISE_VERSION

        options["version"] = WORST_NOISE_VERSION
    if stage == "corrupt":
        from robench.stages.corrupt import resolve

        asked = CorruptOptions.model_validate(options)
        options = resolve(asked, data, data_root).model_dump(mode="json")
    return options


def resolve_drawn(distortion: Distortion) -> dict[str, JsonValue]:
    """Options of a training: version and levels of the kinds that its images are drawn from."""
    if distortion.is_adversarial:
        from robench.training.adversarial_noise import ADVERSARIAL_NOISE_VERSION

        return {"version": ADVERSARIAL_NOISE_VERSION}
    return {"kinds": _kinds(dict.fromkeys(distortion.degradations, distortion.levels))}


def _resolve_kinds(asked: JsonValue, data: Data) -> dict[str, JsonValue]:
    """``all`` are robench's own kinds that these images can bear; each with its levels."""
    from robench.degradations.base import applicable_kinds

    own = applicable_kinds(*data.test.images.shape[1:])
    return _kinds(dict.fromkeys(map(str, asked) if isinstance(asked, list) else own, ()))


def _kinds(asked: Mapping[str, tuple[float, ...]]) -> dict[str, JsonValue]:
    """Version and levels of each kind; no levels are those that it declares."""
    registry = all_registries()["degradations"]
    found = {kind: (registry.get(kind), levels) for kind, levels in asked.items()}
    return {
        name: as_json(
            ResolvedKind(
                version=kind.version, levels=levels or kind.levels, code=registry.code(name)
            ).model_dump()
        )
        for name, (kind, levels) in found.items()
    }

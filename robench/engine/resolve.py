"""What a cell is given: the options of its stage, with all that can change its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from robench.blame import blamed_on
from robench.errors import PluginError
from robench.registry import all_registries
from robench.spec import STAGE_KEY, Cell, StageOptions, as_json
from robench.stages import STAGES, stage

if TYPE_CHECKING:
    from robench.stages.base import Premises

__all__ = ["check_code", "own_options", "resolve_options"]


def resolve_options(name: str, asked: StageOptions, premises: Premises) -> dict[str, JsonValue]:
    """Options with everything that can change the number: versions, kinds, and the machine.

    Args:
        name: of the stage.
        asked: as the suite gives them.
        premises: where the cell will run, and on which data.
    """
    declared = stage(name)
    with blamed_on("stage", name, declared):
        resolved = declared.resolve(asked, premises)
        found = {key: as_json(value) for key, value in resolved.model_dump().items()}
    return {**found, **own_options(name)}


def own_options(name: str) -> dict[str, JsonValue]:
    """Version and code of a stage; nothing where they are 1 and robench's own.

    Cells of robench's own stages keep the ids that they had before stages were plug-ins.
    """
    version, code = STAGES.get(name).version, STAGES.code(name)
    own: dict[str, JsonValue] = {"version": version, **({"code": code} if code else {})}
    return {STAGE_KEY: own} if version > 1 or code else {}


def check_code(cell: Cell) -> None:
    """Refuse a cell whose plug-ins are not the code that it was planned with.

    Raises:
        PluginError: a plug-in file was edited since.
    """
    own = cell.options.get(STAGE_KEY)
    asked: list[tuple[str, str, object]] = [
        ("datasets", cell.data.location or cell.data.name, cell.data.code),
        ("models", cell.model.location or cell.model.name, cell.model.code),
        ("methods", cell.method.name, cell.method.code),
        ("stages", cell.stage, own.get("code") if isinstance(own, dict) else None),
        *stage(cell.stage).plugins_of(cell),
    ]
    rooms = all_registries()
    for room, name, code in asked:
        if code is not None and rooms[room].code(name) != code:
            raise PluginError(
                f"the code of the {rooms[room].kind} {name!r} changed while the suite was running",
                hint="run the suite again: its cells will be new ones",
            )

"""What the target of a check names, told at once: before torch, or the target, is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.errors import UnknownNameError
from robench.plugin_files import existing
from robench.registry import all_registries

if TYPE_CHECKING:
    from robench.registry import Registry

__all__ = ["ALL", "check_is_there", "is_file", "registries_with"]

ALL = "all"
"""Stands for every built-in method."""


def check_is_there(target: str | Path) -> None:
    """Refuse a misspelt name or path.

    Raises:
        UnknownNameError: there is no such plug-in.
        PluginError: there is no such file.
    """
    if is_file(target):
        existing(target)
    elif target != ALL:
        registries_with(str(target))


def is_file(target: str | Path) -> bool:
    """Whether a target is meant as a file, be it there or not."""
    return str(target).endswith(".py") or Path(target).is_file()


def registries_with(name: str) -> list[Registry[Any]]:
    """The registries that have a plug-in of this name; that of methods alone, if it has.

    Raises:
        UnknownNameError: none has.
    """
    registries = all_registries()
    if name in registries["methods"]:
        return [registries["methods"]]
    found = [registry for registry in registries.values() if name in registry.names()]
    if not found:
        known = [known for registry in registries.values() for known in registry.names()]
        raise UnknownNameError("plug-in", name, known)
    return found

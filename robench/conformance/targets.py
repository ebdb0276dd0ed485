"""From what a user names, a file, a method or all of them, to methods under test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from robench.conformance.aspects import Process
from robench.conformance.subject import Subject
from robench.errors import PluginError
from robench.methods import METHODS
from robench.methods.base import Method
from robench.plugin_files import load_plugin

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["subjects_of"]


def subjects_of(
    target: str | Path | type[Method], note: Callable[[str], None] = lambda _: None
) -> list[Subject]:
    """The methods that a target stands for; importing them leaves global state as it was.

    Args:
        target: a plug-in file, a method's name, ``all`` for every built-in method, or a class. Of
            a file also the classes that robench does not take for methods, so that a rule can say
            why.
        note: see `Subject`.

    Raises:
        UnknownNameError: there is no such method.
        PluginError: the file cannot be used, or defines no method.
    """
    process = Process()
    try:
        return [Subject(kind, note) for kind in _classes_of(target)]
    finally:
        process.restore()  # what an import does to the process is for a rule to tell


def _classes_of(target: str | Path | type[Method]) -> list[type[Method]]:
    if isinstance(target, type):
        return [target]
    if str(target).endswith(".py") or Path(target).is_file():
        return _methods_in(Path(target))
    if target == "all":
        return [METHODS.get(name) for name in _builtins()]
    return [METHODS.get(str(target))]


def _builtins() -> Iterator[str]:
    """Names of the methods that come with robench."""
    for name in METHODS.names():
        try:
            package = METHODS.get(name).__module__.partition(".")[0]
        except PluginError:  # a package of somebody else's that is broken
            continue
        if package == "robench":
            yield name


def _methods_in(file: Path) -> list[type[Method]]:
    try:
        load_plugin(file)
    except PluginError:
        if not (module := _imported(file)) or not _classes(module):
            raise
    module = _imported(file)
    classes = _classes(module) if module is not None else []
    if not classes:
        raise PluginError(
            "the plug-in file defines no method",
            where=str(file),
            hint="derive a class from robench.Method; `robench new method NAME` writes one",
        )
    return classes


def _imported(file: Path) -> ModuleType | None:
    path = str(file.resolve())
    modules = (module for module in sys.modules.values() if module is not None)
    return next((m for m in modules if getattr(m, "__file__", None) == path), None)


def _classes(module: ModuleType) -> list[type[Method]]:
    """The public classes of methods that a module itself defines, in order."""
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]

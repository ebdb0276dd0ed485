"""From what a user names, a file, a plug-in or all methods, to plug-ins under test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.conformance.aspects import Process
from robench.conformance.named import ALL, is_file, registries_with
from robench.conformance.subject import PluginSubject, Subject
from robench.errors import PluginError
from robench.methods import METHODS
from robench.methods.base import Method
from robench.plugin_files import load_plugin
from robench.registry import all_registries

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["subjects_of"]


def subjects_of(
    target: str | Path | type[Method], note: Callable[[str], None] = lambda _: None
) -> list[Any]:
    """The plug-ins that a target stands for; importing them leaves global state as it was.

    Args:
        target: a plug-in file, the name of a plug-in, ``all`` for every built-in method, or a class
            of methods. Of a file also the classes that robench does not take for methods, so that a
            rule can say why.
        note: see `PluginSubject`.

    Returns:
        A `Subject` for each method, and a `PluginSubject` for each plug-in of another kind.

    Raises:
        UnknownNameError: there is no such plug-in.
        PluginError: the file cannot be used, or defines no plug-in.
    """
    process = Process()
    try:
        if isinstance(target, type):
            return [Subject(target, note)]
        if is_file(target):
            return _subjects_in(Path(target), note)
        if target == ALL:
            return [Subject(METHODS.get(name), note) for name in _builtins()]
        return _subjects_named(str(target), note)
    finally:
        process.restore()  # what an import does to the process is for a rule to tell


def _subjects_named(name: str, note: Callable[[str], None]) -> list[PluginSubject]:
    """The method of that name, or the plug-ins of other kinds."""
    found = registries_with(name)
    if found == [METHODS]:
        return [Subject(METHODS.get(name), note)]
    return [PluginSubject(registry, name, registry.get(name), note) for registry in found]


def _builtins() -> Iterator[str]:
    """Names of the methods that come with robench."""
    for name in METHODS.names():
        try:
            package = METHODS.get(name).__module__.partition(".")[0]
        except PluginError:  # a package of somebody else's that is broken
            continue
        if package == "robench":
            yield name


def _subjects_in(file: Path, note: Callable[[str], None]) -> list[PluginSubject]:
    """The methods of a file, and its plug-ins of other kinds."""
    registered: list[tuple[str, str]] = []
    try:
        registered = load_plugin(file)
    except PluginError:
        if not (module := _imported(file)) or not _classes(module):
            raise
    module = _imported(file)
    classes = _classes(module) if module is not None else []
    registries = {registry.kind: registry for registry in all_registries().values()}
    return [
        *(Subject(kind, note) for kind in classes),
        *(
            PluginSubject(registries[word], name, registries[word].get(name), note)
            for word, name in registered
            if word != METHODS.kind
        ),
    ]


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

"""One registry for every kind of plug-in: lazy, typed, and loud about clashes.

A registry maps names to objects of one kind (classes of methods, factories of models, …). A name
comes from one of three places, and is treated alike whichever it was:

* the table of built-in names in its room, as a string ``"package.module:attribute"``;
* an entry point of an installed package, in the registry's group (``robench.methods``, …);
* a file of the user's own, given as ``--plugin FILE`` (`robench.plugin_files`).

A registry may also have *families*: names with a prefix, such as ``torchvision:resnet18``, of which
there are too many for a table.

Nothing is imported until an object is asked for, so that listing names is quick.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from robench.errors import PluginError, UnknownNameError, nearest_names

__all__ = ["ROOMS", "Family", "Registry", "all_registries"]

T = TypeVar("T")

ROOMS: Mapping[str, str] = {
    "methods": "robench.methods:METHODS",
    "models": "robench.models:MODELS",
    "datasets": "robench.data:DATASETS",
    "attacks": "robench.attacks:ATTACKS",
    "degradations": "robench.degradations:DEGRADATIONS_REGISTRY",
    "stages": "robench.stages:STAGES",
    "metrics": "robench.stages.scores:SCORES",
    "views": "robench.board.views:VIEWS",
}
"""Where the registry of each kind lives; the keys are the words of ``robench list``."""


@dataclass(frozen=True)
class _Entry:
    """One name: where its object comes from, and the object once it was asked for."""

    target: str
    source: str
    value: object | None = None
    code: str | None = None
    """Which code it is, where that is not robench's own."""


@dataclass(frozen=True)
class Family:
    """Names with a prefix, ``torchvision:resnet18``, whose objects a function makes.

    Attributes:
        target: ``"package.module:function"``, which is called as ``function(rest, where=where)``
            with what stands after the colon, letter for letter, and file and line of the text that
            asked. The name of its first parameter is what ``robench list`` shows after the colon:
            ``torchvision:<name>``, ``csv:<path>``.
        members: ``"package.module:function"`` that gives everything that may stand after the colon,
            without importing anything heavy. Where it gives nothing, and for a family without such
            a list (`None`), the target itself tells what it does not know.
    """

    target: str
    members: str | None = None

    def known(self) -> Collection[str]:
        """Everything that may stand after the colon; empty where only the target can tell."""
        if self.members is None:
            return ()
        return cast("Callable[[], Collection[str]]", _resolve(self.members))()

    def form(self, prefix: str) -> str:
        """``torchvision:<name>``."""
        function = _definition(self.target)
        named = function.args.args if isinstance(function, ast.FunctionDef) else []
        return f"{prefix}:<{named[0].arg if named else 'name'}>"


class Registry(Generic[T]):
    """Names of one kind of plug-in, and the objects behind them.

    Args:
        kind: the word for messages, such as ``"method"``.
        group: the entry-point group that installed packages announce themselves in.
        builtins: name → ``"package.module:attribute"``.
        accept: ``"package.module:function"``; that function takes an object and returns ``None``
            when it is of this kind, else the reason why it is not. A string, so that the registry
            can be built without importing what the check needs.
        families: prefix → the family, or the target of one that lists no members.
    """

    def __init__(
        self,
        kind: str,
        *,
        group: str,
        builtins: Mapping[str, str],
        accept: str,
        families: Mapping[str, Family | str] | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._accept = accept
        self._lock = threading.RLock()
        self._entries = {
            name: _Entry(target, "robench itself") for name, target in builtins.items()
        }
        self._families = {
            prefix: Family(family) if isinstance(family, str) else family
            for prefix, family in (families or {}).items()
        }
        self._made: dict[str, _Entry] = {}
        self._entry_points_read = False

    # -- asking -------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """Every known name but those of families, sorted; imports nothing."""
        self._read_entry_points()
        return tuple(sorted(self._entries))

    def families(self) -> tuple[str, ...]:
        """The form of each family's names, ``torchvision:<name>``, sorted; imports nothing."""
        return tuple(sorted(family.form(prefix) for prefix, family in self._families.items()))

    def __contains__(self, name: object) -> bool:
        try:
            self.check(str(name))
        except UnknownNameError:
            return False
        return True

    def check(self, name: str, *, where: str | None = None) -> None:
        """Refuse a name that no plug-in has; cheap, for what is behind the name is not imported.

        Raises:
            UnknownNameError: no plug-in has this name, as far as can be told without importing it.
        """
        self._read_entry_points()
        if name in self._entries:
            return
        prefix, colon, rest = name.partition(":")
        family = self._families.get(prefix)
        if family is None and colon and self._families:
            raise UnknownNameError(f"family of {self.kind}s", prefix, self._families, where=where)
        if family is None or not rest:
            raise UnknownNameError(self.kind, name, self._offers(name), where=where)
        members = family.known()
        if members and rest not in members:
            near = nearest_names(rest, members, count=10) or sorted(members)[:10]
            shown = [*(f"{prefix}:{member}" for member in near), f"… ({len(members)} in all)"]
            raise UnknownNameError(self.kind, name, shown, where=where)

    def get(self, name: str, *, where: str | None = None) -> T:
        """The object of that name, imported on first use.

        Args:
            name: a known name.
            where: file and line of the text that asked, for the message.

        Raises:
            UnknownNameError: no plug-in has this name.
            PluginError: the plug-in cannot be imported, or is not of this kind.
        """
        entry = self._entries.get(name) or self._made.get(name)
        if entry is None or entry.value is None:
            self.check(name, where=where)
            with self._lock:
                entry = self._loaded(name, where)
        return cast("T", entry.value)

    def origin(self, name: str) -> str:
        """File and line at which the plug-in of that name is defined."""
        value = self.get(name)
        try:
            target = inspect.unwrap(value) if callable(value) else type(value)
            path = inspect.getsourcefile(target)
            line = inspect.getsourcelines(target)[1]
        except (OSError, TypeError):
            return self._entry(name).source
        return f"{path}:{line}"

    def code(self, name: str) -> str | None:
        """Which code stands behind a name: part of the id of every cell that uses it.

        `None` for robench's own, whose plug-ins raise their `version`; ``snip==1.2`` for that of an
        installed package; a hash of the source for that of a file.
        """
        return self._entry(name).code

    def summary(self, name: str) -> str:
        """First line of the plug-in's docstring, read from its source without importing it.

        For the form of a family, ``torchvision:<name>``, that of the family's target.
        """
        entry = self._entry(name)
        if entry.value is not None:
            return _first_line(inspect.getdoc(entry.value))
        return _summary_from_source(entry.target)

    # -- adding -------------------------------------------------------------------------------

    def add(self, name: str, value: T, *, source: str, code: str | None = None) -> None:
        """Register `value` under `name`; what the same source registered before is replaced.

        Args:
            name: a name that nothing else has.
            value: the object.
            source: where it comes from, for messages.
            code: a digest of its code, see `code`.

        Raises:
            PluginError: the name is taken by something else, or `value` is not of this kind.
        """
        self._check(value, name, source)
        with self._lock:
            self._read_entry_points()
            self._claim(name, _Entry(source, source, value, code))

    def accepts(self, value: object) -> bool:
        """Whether `value` is a plug-in of this kind."""
        return self._reason_against(value) is None

    # -- inside -------------------------------------------------------------------------------

    def _entry(self, name: str) -> _Entry:
        self._read_entry_points()
        entry = self._entries.get(name) or self._made.get(name)
        if entry is not None:
            return entry
        target = self._families[name.partition(":")[0]].target
        return _Entry(target, target)

    def _loaded(self, name: str, where: str | None) -> _Entry:
        entry = self._entry(name)
        if name in self._entries:
            value = _import_target(entry.target, kind=self.kind, name=name)
            kept = self._entries
        else:
            prefix, _, rest = name.partition(":")
            kind = f"family of {self.kind}s"
            make = _import_target(entry.target, kind=kind, name=prefix)
            value = cast("Callable[..., object]", make)(rest, where=where)
            kept = self._made
        self._check(value, name, entry.source)
        kept[name] = replace(entry, value=value)
        return kept[name]

    def _offers(self, name: str) -> list[str]:
        """What to show instead of a name that is not known; a family may have it."""
        families = self._families.items()
        relatives = (f"{prefix}:{name}" for prefix, family in families if name in family.known())
        return [*self._entries, *self.families(), *relatives]

    def _claim(self, name: str, entry: _Entry) -> None:
        holder = self._entries.get(name)
        if holder is not None and holder.source != entry.source:
            raise PluginError(
                f"the {self.kind} name {name!r} is taken",
                where=f"{entry.source}; the name belongs to {holder.source}",
                hint="give the plug-in another `name`",
            )
        self._entries[name] = entry

    def _read_entry_points(self) -> None:
        if self._entry_points_read:
            return
        with self._lock:
            self._entry_points_read = True
            for point in importlib.metadata.entry_points(group=self.group):
                package, code = "an unnamed package", point.value
                if point.dist is not None:
                    package, code = point.dist.name, f"{point.dist.name}=={point.dist.version}"
                source = f"the installed package {package}"
                self._claim(point.name, _Entry(point.value, source, code=code))

    def _reason_against(self, value: object) -> str | None:
        check = cast("Callable[[object], str | None]", _resolve(self._accept))
        return check(value)

    def _check(self, value: object, name: str, source: str) -> None:
        reason = self._reason_against(value)
        if reason is not None:
            raise PluginError(f"{name!r} is not a {self.kind}: {reason}", where=source)


def all_registries() -> dict[str, Registry[Any]]:
    """The registry of each kind, by the plural word for it."""
    return {word: cast("Registry[Any]", _resolve(target)) for word, target in ROOMS.items()}


def _import_target(target: str, *, kind: str, name: str) -> object:
    try:
        return _resolve(target)
    except Exception as error:
        raise PluginError(
            f"the {kind} {name!r} cannot be imported: {type(error).__name__}: {error}",
            where=target,
        ) from error


def _resolve(target: str) -> object:
    module_name, _, attribute = target.partition(":")
    value: object = importlib.import_module(module_name)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value


def _summary_from_source(target: str) -> str:
    return _first_line(ast.get_docstring(_definition(target)))


def _definition(target: str) -> ast.ClassDef | ast.FunctionDef | ast.Module:
    """Source of what a target names; of its module, where that does not define it."""
    module_name, _, attribute = target.partition(":")
    spec = importlib.util.find_spec(module_name)
    if spec is None or spec.origin is None:
        return ast.Module([], [])
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
            return node
    return tree


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]

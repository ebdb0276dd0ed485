"""Plug-in files of the user's own: importing them, and knowing which code a figure rests on.

A file given as ``--plugin FILE`` may import the modules that lie beside it, as a script may. What
the file and these modules say is hashed together and becomes part of the id of every cell that
uses a plug-in of the file: after an edit the cells are new ones, and old figures are never shown
for new code.

Imports are found by reading the source, so that those inside functions count too. A module beside
the file whose name is put together at run time cannot be found that way, and cannot be imported.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robench.errors import PluginError
from robench.registry import all_registries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import CodeType, ModuleType

__all__ = ["code_of", "existing", "import_plugin_file", "load_plugin"]


@dataclass(frozen=True)
class _Loaded:
    """A plug-in file as it was when it was imported."""

    module: ModuleType
    code: str


_loaded: dict[Path, _Loaded] = {}


def load_plugin(path: str | Path) -> list[tuple[str, str]]:
    """Import a plug-in file and register what it defines.

    Every public object that the file itself defines and that one of the registries accepts is
    registered under its ``name``. Loading the same file again does nothing, unless the file or a
    module that it imports from beside it was edited: then the new objects replace the old ones.

    Args:
        path: a Python file.

    Returns:
        Kind and name of what was registered: ``[("method", "my-method")]``.

    Raises:
        PluginError: the file is missing, raises on import, or defines no plug-in.
    """
    file = Path(path).resolve()
    loaded = _load(file, shown=path)
    found: list[tuple[str, str]] = []
    for value in _public_objects(loaded.module):
        for registry in all_registries().values():
            if registry.accepts(value):
                name = str(getattr(value, "name", getattr(value, "__name__", "")))
                registry.add(name, value, source=str(file), code=loaded.code)
                found.append((registry.kind, name))
    if not found:
        kinds = [registry.kind for registry in all_registries().values()]
        raise PluginError(
            f"the plug-in file defines none of these: {', '.join(kinds)}",
            where=str(file),
            hint="`robench new method NAME` writes a file to start from",
        )
    return found


def import_plugin_file(path: str | Path) -> ModuleType:
    """Import a plug-in file and register nothing.

    Raises:
        PluginError: the file is missing or raises on import.
    """
    return _load(Path(path).resolve(), shown=path).module


def existing(path: str | Path) -> Path:
    """The whole path of a plug-in file.

    Raises:
        PluginError: the file is missing.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise PluginError(f"there is no plug-in file {str(path)!r}", hint="check the path")
    return file


def code_of(path: str | Path) -> str:
    """A digest of what a plug-in file and the modules that it imports from beside it say now.

    Raises:
        PluginError: the file is missing or is not Python.
    """
    file = Path(path).resolve()
    return _digest([file, *_siblings(file).values()], file.parent)


# -- importing ------------------------------------------------------------------------------------


def _load(file: Path, *, shown: str | Path) -> _Loaded:
    existing(shown)
    if file.suffix != ".py":
        raise PluginError("the plug-in is not a Python file", where=str(file), allowed="*.py")
    siblings = _siblings(file)
    code = _digest([file, *siblings.values()], file.parent)
    held = _loaded.get(file)
    if held is not None and held.code == code:
        return held
    _SIBLINGS.offer(siblings, asked_by=file)
    _loaded[file] = _Loaded(_import_file(file), code)
    return _loaded[file]


def _import_file(file: Path) -> ModuleType:
    name = f"robench_plugin_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    loader = _FreshLoader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None:
        raise PluginError("the plug-in is not a Python file", where=str(file), allowed="*.py")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pydantic look their own module up
    try:
        loader.exec_module(module)
    except (Exception, SystemExit, GeneratorExit) as error:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise PluginError(
            f"the plug-in raised {type(error).__name__} on import: {error}",
            where=_line_at_fault(error, file),
            hint=_hint(error),
        ) from error
    return module


def _hint(error: BaseException) -> str:
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "a plug-in file is no package: write `import helper` for the helper.py beside it"
    return "run the file with python to see the whole traceback"


def _line_at_fault(error: BaseException, file: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent.is_relative_to(file.parent)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(file)


def _public_objects(module: ModuleType) -> Iterable[object]:
    for attribute, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__
        if own and not attribute.startswith("_"):
            yield value


# -- the modules beside a file --------------------------------------------------------------------


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source that lies there now.

    Python's cache of compiled code takes an edit within the same second that keeps the size, such
    as 0.5 to 0.6, for no edit.
    """

    def get_code(self, fullname: str) -> CodeType:
        """The code of the source file, never that of a cache."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _SiblingFinder:
    """Finds the modules beside plug-in files, after everything that is installed."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}

    def offer(self, siblings: Mapping[str, Path], *, asked_by: Path) -> None:
        """Let these modules be imported, from what lies there now.

        Raises:
            PluginError: a module of that name was imported from beside another plug-in.
        """
        for name, path in siblings.items():
            held = self._files.get(name)
            if held is not None and held != path:
                raise PluginError(
                    f"the plug-in imports {name!r} from beside it, and another plug-in imports "
                    f"a module of that name from {held}",
                    where=str(asked_by),
                    hint="rename one of the two modules",
                )
        for name, path in siblings.items():
            self._files[name] = path
            for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
                del sys.modules[loaded]
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - Python's import asks with all three
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """The module beside a plug-in file, or inside a package there."""
        top = self._files.get(fullname.partition(".")[0])
        if top is None:
            return None
        base = top.parent.joinpath(*fullname.split("."))
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if not file.is_file():
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_FreshLoader(fullname, str(file)),
            submodule_search_locations=[str(base)] if base.is_dir() else None,
        )


_SIBLINGS = _SiblingFinder()


def _siblings(file: Path) -> dict[str, Path]:
    """Name → file or folder of the modules that a file imports from beside it, and these in turn.

    Raises:
        PluginError: one of them is not Python.
    """
    found: dict[str, Path] = {}
    waiting = [file]
    while waiting:
        for name in _imported(waiting.pop()):
            beside = None if name in found else _beside(file.parent, name)
            if beside is not None:
                found[name] = beside
                waiting += _sources(beside)
    return found


def _beside(folder: Path, name: str) -> Path | None:
    """The module of that name in the folder, unless an installed one comes first."""
    candidates = (folder / name, folder / f"{name}.py")
    own = [path for path in candidates if (path / "__init__.py").is_file() or path.is_file()]
    if not own or name in sys.stdlib_module_names:
        return None
    installed = importlib.machinery.PathFinder.find_spec(name)
    if installed is not None and installed.loader is not None:
        origin = Path(installed.origin or "")
        return own[0] if origin.is_relative_to(folder) else None
    return own[0]


def _sources(module: Path) -> list[Path]:
    return sorted(module.rglob("*.py")) if module.is_dir() else [module]


def _imported(file: Path) -> Iterator[str]:
    """The first part of every module that a source file imports by its full name."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise PluginError(
            f"the plug-in raised {type(error).__name__} on import: {error}",
            where=f"{file}:{line}",
            hint="run the file with python to see the whole traceback",
        ) from error
    for node in ast.walk(tree):
        yield from (name.partition(".")[0] for name in _names_imported_by(node))


def _names_imported_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        yield node.module
    elif isinstance(node, ast.Call) and node.args:
        called = ast.unparse(node.func).rpartition(".")[2]
        name = node.args[0]
        if called in ("import_module", "__import__") and isinstance(name, ast.Constant):
            yield str(name.value)


def _digest(modules: Iterable[Path], folder: Path) -> str:
    """A hash of the sources and of where they lie in the folder, wherever that is."""
    digest = hashlib.sha256()
    for source in sorted({file for module in modules for file in _sources(module)}):
        content = source.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{source.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()[:16]}"

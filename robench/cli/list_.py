"""`robench list`: the names that a suite may use, without importing what is behind them."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from robench.cli.output import say
from robench.errors import UnknownNameError
from robench.escape import for_terminal
from robench.plugin_files import load_plugin
from robench.registry import ROOMS, all_registries

__all__ = ["list_"]

_WHAT = (*ROOMS, "suites")


def list_(
    what: Annotated[
        str | None,
        typer.Argument(help=f"{', '.join(_WHAT[:-1])} or {_WHAT[-1]}."),
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A Python file with plug-ins; may be repeated.")
    ] = None,
) -> None:
    """Show what there is: the plug-ins of each kind, and the suites."""
    if what is not None and what not in _WHAT:
        raise UnknownNameError("list", what, _WHAT)
    for path in plugin or ():
        load_plugin(path)
    for word in (what,) if what is not None else _WHAT:
        rows = _suites() if word == "suites" else _plugins(word)
        say(f"{word}\n{_two_columns(rows)}\n")


def _plugins(word: str) -> dict[str, str]:
    registry = all_registries()[word]
    names = (*registry.names(), *registry.families())
    return {name: registry.summary(name) for name in names}


def _suites() -> dict[str, str]:
    from robench.spec.suite import shipped_suites

    return {name: _description(path) for name, path in shipped_suites().items()}


def _description(path: Path) -> str:
    # The whole suite need not be valid to be listed.
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("description:"):
            return line.partition(":")[2].strip().strip("\"'")
    return ""


def _two_columns(rows: dict[str, str]) -> str:
    width = max((len(for_terminal(name)) for name in rows), default=0) + 2
    lines = [
        f"  {for_terminal(name):<{width}}{textwrap.shorten(text, 100, placeholder=' …')}".rstrip()
        for name, text in rows.items()
    ]
    return "\n".join(lines) + "\n"

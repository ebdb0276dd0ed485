"""`robench board`: the leaderboard of a results folder."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from robench.cli.output import say, tell

__all__ = ["board"]


def board(
    results: Annotated[Path, typer.Argument(help="Folder of the records.")] = Path("results"),
    out: Annotated[
        Path | None, typer.Option(help="Folder of the board; by default RESULTS/board.")
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(help="A Python file with views or stages; may be repeated."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Draw the leaderboard: one HTML file that works offline, a CSV, a README and SVG plots."""
    from robench.api import build_board

    tell("reading the records and drawing the board\n")
    page = build_board(results, out, plugins=plugin or ()).resolve()
    say(f"the leaderboard is {page}\n")
    if open_:
        webbrowser.open(page.as_uri())

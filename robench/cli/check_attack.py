"""`robench check-attack`: are the stored adversarials what the record says?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robench.cli.output import say

__all__ = ["check_attack"]


def check_attack(
    cell: Annotated[str, typer.Argument(help="The id of an attack's cell, or how it begins.")],
    results: Annotated[Path, typer.Option(help="Folder of the records.")] = Path("results"),
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A Python file with plug-ins; may be repeated.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data sets.", envvar="ROBENCH_DATA", show_envvar=True),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda; by default where the attack ran.")
    ] = None,
) -> None:
    """Run the network once over the adversarials of CELL, and measure their distances again."""
    from robench.api import check_attack as check

    claim = check(results, cell, plugins=plugin or (), data=data, device=device)
    say(f"{claim}\n")
    if not claim.holds.all():
        raise typer.Exit(1)

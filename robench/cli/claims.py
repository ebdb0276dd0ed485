"""`robench claims`: do the methods do here what their papers say?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robench.cli.output import say, tell
from robench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from robench.claims.base import Claim

__all__ = ["claims"]


def claims(
    results: Annotated[Path, typer.Argument(help="Folder of the records.")] = Path("results"),
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A claim by name; may be repeated.")
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="First run what is missing of the suites that tell.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of the data sets.")] = None,
) -> None:
    """Judge the claims of papers by the records of a results folder.

    A figure holds where the 95% interval of its mean over seeds lies within what is asked, it does
    not hold where the interval lies outside, and is open in between.
    """
    from robench.claims import CLAIMS, claim
    from robench.claims.judge import judged

    chosen = [claim(name) for name in only or CLAIMS]
    if run:
        _run(chosen, results, data)
    elif not results.is_dir():
        raise UsageError(
            f"there is no folder {str(results)!r}",
            hint="`robench claims RESULTS --run` runs the suites that tell",
        )
    tell("reading the records and judging the claims\n")
    say("\n".join(judged(chosen, results)) + "\n")


def _run(claims: Iterable[Claim], results: Path, data: Path | None) -> None:
    """Run those cells of the claims' suites that they judge; what is there is not done again."""
    from robench.api import run

    wanted = dict.fromkeys(
        (suite, cells) for claim in claims for suite in claim.suites for cells in claim.cells
    )
    for suite, cells in wanted:
        run(suite, results=results, only=cells, data=data)

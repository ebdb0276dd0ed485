"""`robench run`: do what a suite asks for and is not there yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robench.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from robench.api import Results
    from robench.spec import Record

__all__ = ["SOME_FAILED", "report", "run"]


def run(
    suite: Annotated[
        str, typer.Argument(help="A YAML file, or a name from `robench list suites`.")
    ],
    results: Annotated[Path, typer.Option(help="Folder of the records.")] = Path("results"),
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A Python file with plug-ins; may be repeated.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="Only cells with this in their label; * and ? stand for anything."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=0, help="Worker processes; one for each core by default, 0 for none."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data sets.", envvar="ROBENCH_DATA", show_envvar=True),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda; by default what the suite says.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do failed cells again.")
    ] = False,
    force: Annotated[
        str | None, typer.Option(help="Do the cells of this pattern again, even if they are there.")
    ] = None,
) -> None:
    """Train, compact, time, attack and degrade: whatever SUITE asks for and is not there yet.

    Running the same command again does only what is missing. Failures are rows with their reason;
    `robench show CELL` tells more about one. Several runs on one folder share the work.

    \b
    Exit status:
      0    every cell has its figures, or does not apply, or was timed on too busy a machine
      1    the run broke off by a fault that is not yours, such as workers that do not start
      2    a mistake in what was asked for, or a results folder that cannot be used
      3    the run is over, and some cells failed, took too long or were interrupted
      130  the run was interrupted
    """  # noqa: D301 - an escape that keeps the lines apart
    from robench.api import run as run_suite
    from robench.cli.choices import engine_named

    results_of_run = run_suite(
        suite,
        results=results,
        jobs=jobs,
        engine=engine_named(engine),
        plugins=plugin or (),
        only=only,
        force=force,
        retry_failed=retry_failed,
        data=data,
        device=device,
    )
    report(results_of_run, results)


SOME_FAILED = 3
"""The exit status of a run that is over, and some of whose cells failed."""


def report(done: Results, results: Path) -> None:
    """Say what came out of a run, and what to do next; the exit status says whether all is well.

    Raises:
        typer.Exit: some cells failed.
    """
    _print_summary(list(done.records))
    failed, noisy = done.failed, done.noisy
    if failed:
        say(
            f"{len(failed)} of {len(done.records)} cells failed; the first: "
            f"robench show {failed[0].id} --results {results}\n"
        )
    for attack, records in _crashed(done.records).items():
        say(
            f"the attack {attack!r} crashed in {len(records)} cells, which stand without it; the "
            f"first: robench show {records[0].id} --results {results}\n"
        )
    if noisy:
        say(
            f"{len(noisy)} timings were too noisy to be published, on a machine this busy; "
            "--retry-failed tries again\n"
        )
    say(f"records in {results}; `robench board {results}` draws the leaderboard\n")
    if failed:
        raise typer.Exit(SOME_FAILED)


def _crashed(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The cells in which each attack crashed beside others that did not."""
    from robench.engine.progress import crashed_attacks

    found: dict[str, list[Record]] = {}
    for record in records:
        for attack in crashed_attacks(record):
            found.setdefault(attack, []).append(record)
    return found


def _print_summary(records: list[Record]) -> None:
    from robench.board.render.text import summary, summary_text  # pandas is not needed before

    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(summary(records))
    else:
        say(summary_text(records, width=110))

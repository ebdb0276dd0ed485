"""The command line: one file a verb.

The verbs import what they need when they run: ``robench --help`` and ``robench list`` answer
before torch would have been imported.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from robench.cli import board, check, check_attack, claims, doctor, evaluate, list_, new, run, show
from robench.cli.output import show_warnings, tell
from robench.errors import RobenchError, UsageError

__all__ = ["app", "main"]

app = typer.Typer(
    help="What does making a network sparse do to its speed and its robustness?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("list")(list_.list_)
app.command("show")(show.show)
app.add_typer(new.app, name="new")
app.command("check")(check.check)
app.command("check-attack")(check_attack.check_attack)
app.command("evaluate")(evaluate.evaluate)
app.command("board")(board.board)
app.command("claims")(claims.claims)
app.command("doctor")(doctor.doctor)


def main() -> NoReturn:
    """Run the command line; a user's mistake is one message and status 2, never a traceback."""
    show_warnings()
    try:
        app()
    except RobenchError as error:
        tell(f"robench: {error}\n")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        tell("\nrobench: interrupted; run the same command again to go on from here\n")
        sys.exit(130)
    sys.exit(0)

"""`robench check`: the conformance kit on a plug-in."""

from __future__ import annotations

import json as json_
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robench.cli.output import say, tell
from robench.errors import StoreError

if TYPE_CHECKING:
    from robench.conformance import Report, RuleResult

__all__ = ["check"]

_SECONDS_BETWEEN_LINES = 2.0


def check(
    target: Annotated[
        str, typer.Argument(help="A plug-in file, a plug-in's name, or `all` built-in methods.")
    ],
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; may be repeated.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Also write a report here.")] = None,
) -> None:
    """Hold a plug-in against the rules that every plug-in of its kind keeps to; some seconds each.

    Each rule passes, fails or is skipped, with what was seen; a failure names the line of the
    plug-in at fault, and what to do next. The plug-in runs in a process of its own, which it may
    end or hang. The status is 1 if a rule fails.
    """
    doing = _Doing()
    reports = []
    with doing.told():
        from robench.conformance.apart import Apart
        from robench.conformance.report import report_on

        with Apart(target, doing.note, rules=rule or ()) as apart:
            for info in apart.subjects:
                say(f"{info.name}  {info.line or info.file}\n")
                hold = partial(apart.hold, subject=info)
                reports.append(report_on(info, apart.rules[info.kind], hold, _print_result))
                say(_summary(reports[-1]))
    if json is not None:
        _write(json, reports)
    if any(report.failed for report in reports):
        raise typer.Exit(1)


def _print_result(result: RuleResult) -> None:
    say(f"  {result.outcome}  {result.rule:<22}  {result.why}\n")
    if result.outcome == "fail":
        if result.where is not None:
            say(f"        where:  {result.where}\n")
        say(f"        rule:   {result.meaning}\n        next:   {result.remedy}\n")
    sys.stdout.flush()


def _summary(report: Report) -> str:
    counts = {word: len(report.of(word)) for word in ("pass", "fail", "skip")}
    return (
        f"  {counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped "
        f"in {report.seconds:.1f} s\n\n"
    )


def _write(path: Path, reports: list[Report]) -> None:
    from robench.files import write_atomically

    content = json_.dumps([report.model_dump(mode="json") for report in reports], indent=2) + "\n"
    try:
        write_atomically(path, content.encode())
    except OSError as error:
        raise StoreError(
            f"the report cannot be written: {error.strerror}",
            where=str(path),
            hint="choose another place for --json",
        ) from error


class _Doing:
    """Says on standard error what is being done, whenever it takes longer than two seconds."""

    def __init__(self) -> None:
        self._what = "importing torch"
        self._since = time.monotonic()
        self._over = threading.Event()

    def note(self, what: str) -> None:
        """Something else begins."""
        self._what, self._since = what, time.monotonic()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Look at it every other second while the block runs."""
        watcher = threading.Thread(target=self._watch, name="what-is-being-done", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._over.set()
            watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LINES):
            seconds = time.monotonic() - self._since
            if seconds >= _SECONDS_BETWEEN_LINES:
                tell(f"  ...   {self._what} ({seconds:.0f} s)\n")
                sys.stderr.flush()

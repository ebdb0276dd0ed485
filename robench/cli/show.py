"""`robench show`: everything about one cell; or one image through all degradations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robench.cli.output import say
from robench.errors import UsageError
from robench.escape import for_terminal

if TYPE_CHECKING:
    from robench.spec import Metric, Record

__all__ = ["show"]

_WIDTH = 100
"""Characters of a method's note; they may be long lists."""


def show(
    cell: Annotated[
        str,
        typer.Argument(help="The id of a cell, or how it begins; or degradations, or corruptions."),
    ],
    subject: Annotated[
        str | None,
        typer.Argument(help="Of degradations: an image file or a data set; a photograph if none."),
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of the records.")] = Path("results"),
    json: Annotated[bool, typer.Option("--json", help="The whole record as JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Of degradations: the file to write, .png or .svg.")
    ] = None,
    index: Annotated[int, typer.Option(help="Which test image of the data set.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data sets.", envvar="ROBENCH_DATA", show_envvar=True),
    ] = None,
) -> None:
    """Show one cell: what was asked, what came out, and why it failed if it did.

    `robench show degradations` draws one image through every kind and level, as a picture.
    """
    if cell in ("degradations", "corruptions"):
        from robench.api import contact_sheet

        path = contact_sheet(cell, subject, out=out, index=index, data=data)
        say(f"{path.resolve()}\n")
        return
    if subject is not None:
        raise UsageError(
            f"a cell has no {subject!r} to show",
            allowed="robench show CELL, robench show degradations [DATASET|IMAGE]",
        )
    from robench.store import Store

    store = Store(results)
    record = store.find(cell)
    if json:
        say(record.model_dump_json(indent=2) + "\n")
        return
    say(_described(record) + "\n")


def _described(record: Record) -> str:
    """Each fact on a line of its own: only reasons and tracebacks have several."""
    cell = record.cell
    facts = [
        f"{record.id}  {cell.label}",
        f"suite    {cell.suite} version {cell.suite_version}",
        f"method   {cell.method.name} version {cell.method.version} {cell.method.params}",
        f"parent   {cell.parent or 'none'}",
        *([f"donor    {cell.donor}"] if cell.donor else []),
        *(
            f"{key:<8} {record.provenance[key]}"
            for key in ("started", "wall_s", "machine", "state_changed")
            if key in record.provenance
        ),
        *(f"  {_metric(metric)}" for metric in record.metrics),
    ]
    notes = record.details.get("method")
    if isinstance(notes, dict):
        facts += [f"  {key:<28} {_shortened(str(value))}" for key, value in notes.items()]
    if record.arrays:
        facts.append(f"arrays   {', '.join(record.arrays)}")
    status = f"status   {record.status}" + (f": {record.reason}" if record.reason else "")
    first, *others = map(for_terminal, facts)
    return "\n".join([first, status, *others, *filter(None, [record.traceback])])


def _shortened(text: str) -> str:
    """What fits on a line; ``--json`` has it all."""
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


def _metric(metric: Metric) -> str:
    condition = " ".join(f"{key}={value}" for key, value in metric.condition.items())
    value = "none" if metric.value is None else f"{metric.value:.6g}"
    known = metric.low is not None and metric.high is not None
    interval = f" [{metric.low:.4g}, {metric.high:.4g}]" if known else ""
    count = f" n={metric.n}" if metric.n is not None else ""
    return f"{metric.name:<28} {value}{interval}{count} {condition}".rstrip()

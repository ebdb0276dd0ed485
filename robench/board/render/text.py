"""The results as a table for the terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from robench.board.model.columns import (
    ACCURACY,
    DISTANCE,
    R2,
    SPEEDUP,
    Column,
    declared_columns,
    is_measured,
)
from robench.board.model.flags import warnings_in
from robench.board.model.format import level
from robench.board.model.layers import layer_tables
from robench.board.model.leaderboard import leaderboard
from robench.escape import for_terminal

if TYPE_CHECKING:
    from robench.board.model.leaderboard import Leaderboard
    from robench.board.model.rows import Row
    from robench.board.model.tables import Table as LayerTable
    from robench.spec import Record

__all__ = ["summary", "summary_text"]

_LONGEST_NAME = 72
_LEGEND = (
    "± is half the width of the 95% interval over seeds, or, of one seed, of that network; "
    "⚑ names the flags that attacks raised: where one is, distances may flatter the network."
)


def summary(records: Iterable[Record]) -> Table:
    """A table for each data set and model, one below the other: accuracy, median l2, speed-up.

    What follows ± is half the width of the 95% interval over seeds.

    Args:
        records: of any suites and stages.
    """
    board = leaderboard(records)
    stack = Table.grid(padding=(0, 0, 1, 0))
    stack.add_column(overflow="fold")
    for (panel, training), rows in groupby(board.rows, key=attrgetter("panel", "training")):
        noise = "" if training == "none" else f", trained on {training}"
        # Names are text: rich would read the brackets of a label as markup.
        stack.add_row(Text(_plain(panel) + _plain(noise), style="bold"))
        stack.add_row(_table(board, list(rows)))
    if board.rows:
        stack.add_row(Text("\n".join([_LEGEND, *_meanings(board.rows)]), style="dim"))
    for of_layers in layer_tables(board.layers):
        stack.add_row(Text(for_terminal(of_layers.caption), style="bold"))
        stack.add_row(_layers(of_layers))
    if not board.records:
        stack.add_row(Text("there are no results yet", style="dim"))
    return stack


def summary_text(records: Iterable[Record], *, width: int = 100) -> str:
    """The same without colours, for a file or a pipe.

    Args:
        records: of any suites and stages.
        width: columns of the text.
    """
    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, legacy_windows=False)
    console.print(summary(records))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _layers(found: LayerTable) -> Table:
    """Layers at published sparsities; the intervals are on the board."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for place, head in enumerate(found.full_heads):
        is_word = place < found.words
        table.add_column(Text(head), justify="left" if is_word else "right", no_wrap=is_word)
    for row in found.rows:
        table.add_row(*(Text(for_terminal(entry.text)) for entry in row))
    return table


def _table(board: Leaderboard, rows: list[Row]) -> Table:
    told = (ACCURACY, R2, DISTANCE, SPEEDUP, *declared_columns("terminal"))
    columns = [column for column in told if is_measured(column, rows)]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("method", overflow="fold", min_width=12)
    table.add_column("level", justify="right", no_wrap=True)
    table.add_column("seeds", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(Text(column.head(rows)), justify="right", no_wrap=True)
    table.add_column("")
    previous = ""
    for row in rows:
        table.add_row(
            Text("" if row.method == previous else _plain(row.method)),
            Text("" if row.kind.is_dense else f"{level(row.level)}%"),
            Text(str(row.seeds)),
            *(_number(column, row) for column in columns),
            _remark(board, row),
        )
        previous = row.method
    return table


def _plain(name: str) -> str:
    """A name without what could move the cursor or colour the terminal, and not too long."""
    printable = for_terminal(name)
    return printable if len(printable) <= _LONGEST_NAME else printable[: _LONGEST_NAME - 1] + "…"


def _number(column: Column, row: Row) -> Text:
    """The value and, after ±, half the width of its interval."""
    found = column.estimate(row)
    number = Text(column.value(row))
    if found is None or found.low is None or found.high is None:
        return number
    return number.append(f" ±{column.spread(found.low, found.high)}", style="dim")


def _remark(board: Leaderboard, row: Row) -> Text:
    state = board.standing(row).state
    flags = [for_terminal(flag.name) for flag in warnings_in(row.flags)]
    words = [
        *([] if state == "complete" else [state]),
        *(["far below dense"] if row.is_far_below_dense else []),
        *(["⚑", *flags] if flags else []),
    ]
    return Text(" ".join(words), style="yellow")


def _meanings(rows: Iterable[Row]) -> list[str]:
    """What each flag that any row has says, a line each."""
    flags = {flag.name: flag.meaning for row in rows for flag in warnings_in(row.flags)}
    return [f"⚑ {for_terminal(name)}: {for_terminal(flags[name])}" for name in sorted(flags)]

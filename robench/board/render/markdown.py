"""The README of a board: its table and its plots in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from robench.board.model.columns import ACHIEVED, shown
from robench.board.model.flags import warnings_in
from robench.board.model.format import level, percent
from robench.escape import for_terminal

if TYPE_CHECKING:
    from robench.board.charts.drawing import Drawing
    from robench.board.model.columns import Column
    from robench.board.model.coverage import Coverage
    from robench.board.model.leaderboard import Leaderboard
    from robench.board.model.rows import Row
    from robench.board.model.tables import Table

__all__ = ["escaped", "readme"]

_HEADS = ("data", "model", "trained on", "method", "level, %", "achieved, %", "seeds")


def readme(board: Leaderboard, views: Iterable[Drawing], *, title: str) -> str:
    """The whole README.

    Args:
        board: the rows.
        views: whose plots are shown.
        title: the heading.
    """
    parts = [f"# {escaped(title)}", _summary(board)]
    for view in views:
        images = [f"![{escaped(plot.caption)}](plots/{plot.name}.svg)" for plot in view.plots]
        tables = [_plain_table(table) for table in view.tables]
        parts += [f"## {view.title}", view.lead]
        parts += [*images, *tables] or [f"*{_with_code(view.missing or '')}*"]
    if board.rows or not board.records:
        parts += ["## All rows", _explanation(), _table(board), *_flags(board.rows)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that means itself in Markdown: names come from strangers."""
    flat = for_terminal(" ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~&$])", r"\\\1", flat)


def _with_code(text: str) -> str:
    """A sentence of robench's own, which may quote a stranger, with its code in backticks."""
    parts = text.split("`")
    return "`".join(
        part if place % 2 else re.sub(r"([\\*_\[\]<>#|~&$])", r"\\\1", part)
        for place, part in enumerate(parts)
    )


def _summary(board: Leaderboard) -> str:
    if not board.records:
        return "There are no records yet: `robench run SUITE --results DIR` makes some."
    coverage = board.coverage
    counts = ", ".join(f"{count:,} {status}" for status, count in board.statuses.items())
    lines = [
        "[The interactive page](index.html) · [all numbers](results.csv)",
        f"{len(board.records):,} cells: {counts}.{_coverage(coverage) if board.rows else ''}",
        *(f"- {escaped(other.told)}." for other in board.other_versions),
        *(f"- {escaped(sentence)}." for sentence in coverage.missing_levels),
    ]
    return "\n\n".join(lines)


def _coverage(coverage: Coverage) -> str:
    return (
        f" Of the grid that they span, {percent(coverage.share)}% of the applicable cells "
        f"succeeded ({coverage.ok:,} of {coverage.expected - coverage.not_applicable:,})."
    )


def _explanation() -> str:
    return (
        "Means over seeds with 95% intervals: Student's t over seeds, or, with one seed, the "
        "interval of that one network. Rows marked † are incomplete: some of their cells are "
        "missing or failed."
    )


def _plain_table(table: Table) -> str:
    rule = ["---"] * table.words + ["---:"] * (len(table.heads) - table.words)
    rows = ([escaped(str(entry)) for entry in row] for row in table.rows)
    return f"{escaped(table.caption)}\n\n{_piped([table.full_heads, rule, *rows])}"


def _table(board: Leaderboard) -> str:
    columns = shown(board.rows)
    heads = [*_HEADS, *(column.head(board.rows) for column in columns), "status"]
    left = 4
    rule = ["---"] * left + ["---:"] * (len(heads) - left - 1) + ["---"]
    return _piped([heads, rule, *(_row(board, row, columns) for row in board.rows)])


def _flags(rows: Iterable[Row]) -> Sequence[str]:
    """What the warnings that any row has say; notes are no reason to doubt a distance."""
    meanings = {flag.name: flag.meaning for row in rows for flag in warnings_in(row.flags)}
    return [f"- ⚑ {escaped(name)}: {escaped(meanings[name])}." for name in sorted(meanings)]


def _marks(row: Row) -> str:
    return "".join(f"; ⚑ {flag.name}" for flag in warnings_in(row.flags))


def _piped(lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(board: Leaderboard, row: Row, columns: Iterable[Column]) -> Sequence[str]:
    standing = board.standing(row)
    complete = standing.state == "complete"
    numbers = [
        f"{column.value(row)} {column.interval(row)}".strip().replace("[", "\\[")
        for column in columns
    ]
    reasons = f": {'; '.join(standing.reasons)}" if standing.reasons else ""
    return [
        *(escaped(text) for text in (row.data, row.model_label, row.training, row.method)),
        level(row.level),
        ACHIEVED.value(row),
        f"{row.seeds}{'' if complete else ' †'}",
        *numbers,
        escaped(standing.state + reasons + _marks(row)),
    ]

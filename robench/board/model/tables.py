"""Tables beside the leaderboard: what they say, for the page, the README and the terminal."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry", "Table"]


@dataclass(frozen=True)
class Entry:
    """A cell of a table.

    Args:
        text: a number or a word.
        note: what stands small beside it, such as an interval.
    """

    text: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.note}".strip()


@dataclass(frozen=True)
class Table:
    """A table whose columns stand in groups.

    Args:
        caption: what holds for all of it.
        groups: name of each group, and how many columns it has.
        heads: name of each column.
        rows: one entry a column.
        words: how many columns from the left hold words; the others hold numbers.
    """

    caption: str
    groups: tuple[tuple[str, int], ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    words: int = 1

    @property
    def full_heads(self) -> tuple[str, ...]:
        """The heads with the names of their groups, for where a table has one line of heads."""
        names = [name for name, columns in self.groups for _ in range(columns)]
        return tuple(
            f"{name}: {head}" if name else head
            for name, head in zip(names, self.heads, strict=True)
        )

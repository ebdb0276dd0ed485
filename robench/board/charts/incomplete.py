"""Marks for means that lack seeds: the same dagger as in the tables."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import altair as alt

from robench.board.model.measured import key_of

if TYPE_CHECKING:
    from robench.board.model.estimates import Estimate
    from robench.board.model.leaderboard import Leaderboard

__all__ = [
    "DAGGER",
    "IS_INCOMPLETE",
    "READING",
    "SEEDS",
    "basis",
    "counted",
    "daggers",
    "seeds_of",
]

DAGGER = "†"
SEEDS = ("seeds", "of")
"""Columns of a chart's data: how many seeds a mean rests on, and how many its row should have."""
IS_INCOMPLETE = "datum.seeds < datum.of"
"""An expression over these columns."""
READING = (
    f"A number marked {DAGGER} is incomplete: it is a mean over fewer seeds than its row should "
    "have, since the others failed or are missing; the tooltip says how many."
)
"""For the texts of the views."""


def seeds_of(board: Leaderboard, row: Mapping[Hashable, Any]) -> tuple[int, int]:
    """The values of `SEEDS` for a row of a frame of estimates."""
    return int(row["seeds"]), board.standings[key_of(row)].seeds


def basis(estimate: Estimate, of: int) -> str:
    """What an estimate rests on, in words, and how many of the `of` seeds are missing."""
    if estimate.seeds >= of:
        return estimate.basis
    return f"{estimate.basis}; incomplete: {estimate.seeds} of {of} seeds"


def counted() -> str:
    """An expression: the number of seeds, for tooltips."""
    return f"{IS_INCOMPLETE} ? datum.seeds + ' of ' + datum.of + ' (incomplete)' : datum.seeds"


def daggers(base: alt.Chart, **place: Any) -> alt.Chart:
    """A dagger beside each point that lacks seeds.

    Args:
        base: chart whose data have the columns of `SEEDS`.
        place: the encodings ``x`` and ``y`` of the points.
    """
    dagger = f"{IS_INCOMPLETE} ? '{DAGGER}' : ''"
    marked = base.transform_calculate(dagger=dagger).mark_text(dx=8, dy=-7, fontSize=13)
    found: alt.Chart = marked.encode(**place, text="dagger:N")
    return found

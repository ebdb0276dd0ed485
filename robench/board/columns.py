"""The columns of the leaderboard that are numbers, for the page, the README and the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from robench.board.coverage import Standing
from robench.board.estimates import Estimate
from robench.board.format import NO_VALUE, distance, interval, level, percent, points, ratio
from robench.board.rows import Row

__all__ = ["ACCURACY", "ACHIEVED", "COLUMNS", "DISTANCE", "SPEEDUP", "Column"]


@dataclass(frozen=True)
class Column:
    """One measured quantity of a row.

    Args:
        title: head of the column, with the unit.
        meaning: a sentence for those who do not know it.
        estimate: where the row has it.
        write: how it is written.
    """

    title: str
    meaning: str
    estimate: Callable[[Row], Estimate | None]
    write: Callable[[float], str]

    def value(self, row: Row) -> str:
        """The number itself, or a dash."""
        found = self.estimate(row)
        return NO_VALUE if found is None or found.value is None else self.write(found.value)

    def rank_by(self, row: Row, standing: Standing) -> float | None:
        """The number if it may be ranked: it is there, and rests on every seed."""
        found = self.estimate(row)
        return None if found is None or found.seeds < standing.seeds else found.value

    def interval(self, row: Row) -> str:
        """Its bounds; empty where there are none."""
        found = self.estimate(row)
        return interval(found, self.write) if found is not None else ""

    def spread(self, low: float, high: float) -> str:
        """Half the width of an interval, without a sign."""
        return self.write((high - low) / 2).lstrip("+")

    def basis(self, row: Row) -> str:
        """What it rests on, in words; empty where it was not measured."""
        found = self.estimate(row)
        if found is None:
            return ""
        about = {"network": "interval of this one network", "seeds": "95% interval over seeds"}
        source = about.get(found.interval or "", "no interval")
        return f"{found.basis}; {source}"


ACHIEVED = Column(
    "achieved, %",
    "Share of the prunable weights that were counted to be zero.",
    attrgetter("level_achieved"),
    level,
)
ACCURACY = Column(
    "accuracy, %",
    "Share of clean test images that are classified correctly.",
    attrgetter("accuracy"),
    percent,
)
DISTANCE = Column(
    "median l2",
    "Median over the correctly classified test images of the smallest l2 change that makes the "
    "network err.",
    attrgetter("median_l2"),
    distance,
)
SPEEDUP = Column(
    "speed-up, ×",
    "Measured latency of the dense network over that of the compacted one, at the largest batch.",
    attrgetter("speedup"),
    ratio,
)
COLUMNS = (
    ACCURACY,
    Column(
        "against dense, points",
        "Accuracy minus that of the dense network of the same seed, in percentage points.",
        attrgetter("against_dense"),
        points,
    ),
    DISTANCE,
    Column(
        "degraded, %",
        "Accuracy on degraded images: the mean over kinds of the mean over levels.",
        attrgetter("degraded"),
        percent,
    ),
    Column(
        "operation ratio, ×",
        "Multiply-accumulates of the dense network over those of the compacted one.",
        attrgetter("operation_ratio"),
        ratio,
    ),
    SPEEDUP,
)

"""What a claim is, and how its figures are judged.

Each figure is judged by the 95 % interval of its mean over seeds: it holds where the interval lies
within what is asked, it does not where the interval lies outside, and is open in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.stats.intervals import Interval, student_t

if TYPE_CHECKING:
    from robench.board.model.dense_parent import ArraysOf
    from robench.spec import Record

__all__ = ["LEAST_SEEDS", "Claim", "Evidence", "Judged", "Statement"]

LEAST_SEEDS = 3
"""Seeds below which nothing is said to hold or not to hold."""


@dataclass(frozen=True)
class Evidence:
    """What claims are judged by.

    Attributes:
        records: of any suites and stages.
        arrays: reads what lies beside a record.
    """

    records: Sequence[Record]
    arrays: ArraysOf


@dataclass(frozen=True)
class Statement:
    """One figure of a claim, what is asked of it, and how it came out.

    Attributes:
        name: what is judged.
        values: one a seed.
        least: what is asked: at least this.
        most: and at most this. Where neither is finite, the figure is only reported.
        remark: other figures that help to read it.
    """

    name: str
    values: Sequence[float]
    least: float = -math.inf
    most: float = math.inf
    remark: str = ""

    @property
    def interval(self) -> Interval:
        """Mean and Student's t interval over seeds."""
        return student_t([value for value in self.values if math.isfinite(value)])

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold``, ``open``, ``reported``, or why it cannot be judged."""
        found = self.interval
        if found.n < len(self.values) or not found.n:
            return "not defined"
        if math.isinf(self.least) and math.isinf(self.most):
            return "reported"
        if found.n < LEAST_SEEDS or found.low is None or found.high is None:
            return f"open: fewer than {LEAST_SEEDS} seeds"
        if self.least <= found.low and found.high <= self.most:
            return "holds"
        return "does not hold" if found.high < self.least or found.low > self.most else "open"

    @property
    def line(self) -> str:
        """For the terminal."""
        found = self.interval
        asked = " and ".join(
            f"{sign} {bound:g}"
            for sign, bound in ((">=", self.least), ("<=", self.most))
            if math.isfinite(bound)
        )
        mean = "" if found.value is None else f"{found.value:7.3f}"
        bounds = "" if found.low is None else f"[{found.low:.3f}, {found.high:.3f}]"
        seeds = " ".join(f"{value:.3f}" for value in self.values)
        return (
            f"{self.name:<66} {asked:<8} {mean:>7} {bounds:<18} {self.verdict:<14} "
            f"(seeds: {seeds}{'; ' + self.remark if self.remark else ''})"
        )


Judged = tuple[str, list[Statement]]
"""Where a claim was judged, ``mnist · lenet-5``, and its figures there."""


@dataclass(frozen=True)
class Claim:
    """Something that a paper says, in figures that records of a suite have.

    Attributes:
        name: as in the table of claims.
        paper: authors, year and address.
        sentence: what it says.
        suites: whose records tell.
        cells: patterns of the cells that are judged, as for ``--only``; they are all that is run.
        judge: evidence → where the claim can be judged, and its figures there; nothing where the
            records do not suffice.
    """

    name: str
    paper: str
    sentence: str
    suites: tuple[str, ...]
    cells: tuple[str, ...]
    judge: Callable[[Evidence], Iterator[Judged]]

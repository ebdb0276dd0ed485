"""The columns of the leaderboard that are numbers, for the page, the README and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from robench.board.model.coverage import Standing
from robench.board.model.estimates import Estimate
from robench.board.model.format import (
    NO_VALUE,
    distance,
    interval,
    level,
    number,
    percent,
    points,
    ratio,
)
from robench.board.model.measured import Declared, declared_metrics
from robench.board.model.rows import Row

__all__ = [
    "ACCURACY",
    "ACHIEVED",
    "AREA",
    "DISTANCE",
    "R2",
    "SPEEDUP",
    "Column",
    "declared_columns",
    "is_measured",
    "other_levels",
    "shown",
]


@dataclass(frozen=True)
class Column:
    """One measured quantity of a row.

    Args:
        title: head of the column, with the unit.
        meaning: a sentence for those who do not know it.
        estimate: where the row has it.
        write: how it is written.
        is_comparable: whether the row's number may be ranked beside the others.
        about: what else a reader should know of the row's number, in words.
        order: what rows are ordered by instead, where the number itself flatters networks that
            err; what has no such number is not ordered at all.
        ordered_by: the same in words, for the head.
        doubts: why a row is not ranked, in words; empty where it is.
        kinds: stage over whose kinds of images the number is a mean.
    """

    title: str
    meaning: str
    estimate: Callable[[Row], Estimate | None]
    write: Callable[[float], str]
    is_comparable: Callable[[Row], bool] = lambda _: True
    about: Callable[[Row], str] = lambda _: ""
    order: Callable[[Row], Estimate | None] | None = None
    ordered_by: str = ""
    doubts: Callable[[Row], tuple[str, ...]] = lambda _: ()
    kinds: str = ""

    def head(self, rows: Iterable[Row]) -> str:
        """The title; of a mean over kinds with their number: ``degraded, % (7 kinds)``."""
        counts = {row.kinds[self.kinds].count for row in rows if self.kinds in row.kinds}
        if not counts:
            return self.title
        least, most = min(counts), max(counts)
        told = f"{most}" if least == most else f"{least} to {most}"
        return f"{self.title} ({told} kind{'s' if most > 1 else ''})"

    def value(self, row: Row) -> str:
        """The number itself, or a dash."""
        found = self.estimate(row)
        return NO_VALUE if found is None or found.value is None else self.write(found.value)

    def rank_by(self, row: Row, standing: Standing) -> float | None:
        """What the row is ordered by; `None` where it may not lead, and comes last.

        The number is there, comparable, and rests on every seed; and robustness is that of a
        network that is not broken, and of an attack that raised no warning.
        """
        found = (self.order or self.estimate)(row)
        if found is None or found.seeds < standing.seeds or not self.is_comparable(row):
            return None
        kinds = row.kinds.get(self.kinds)
        if kinds is not None and kinds.count < kinds.of:
            return None
        return None if self.doubts(row) else found.value

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
        kinds = row.kinds.get(self.kinds)
        doubts = self.doubts(row)
        more = (
            self.about(row),
            kinds.told if kinds is not None else "",
            f"not ranked: {' and '.join(doubts)}" if doubts else "",
        )
        return "; ".join(filter(None, (found.basis, source, *more)))


def _attacked_by(row: Row) -> str:
    if row.attack_is_ranked:
        return row.attack
    return f"{row.attack}, which does not compare with most rows here, so that it is not ranked"


ACHIEVED = Column(
    "achieved, %",
    "Share of the prunable weights that were counted to be zero.",
    attrgetter("level_achieved"),
    level,
)
ACCURACY = Column(
    "accuracy, %",
    "Share of clean test inputs that are classified correctly.",
    attrgetter("accuracy"),
    percent,
)
R2 = Column(
    "R², %",
    "Share of the variance of the target over the test inputs that is explained; below zero where "
    "the mean would be a better prediction.",
    attrgetter("r2"),
    percent,
)
DISTANCE = Column(
    "median l2",
    "Median over the correctly classified test inputs of the smallest l2 change that makes the "
    "network err. A network that errs more often is asked about easier inputs only, so that rows "
    "are ordered by the l2 area, in which a wrong answer counts as a distance of zero.",
    attrgetter("median_l2"),
    distance,
    is_comparable=attrgetter("attack_is_ranked"),
    about=_attacked_by,
    order=attrgetter("l2_area"),
    ordered_by="ordered by l2 area",
    doubts=attrgetter("attack_doubts"),
)
AREA = Column(
    "l2 area, %",
    "Mean accuracy over all l2 radii up to a limit that is the same for all networks of a data "
    "set: the area under the curve of accuracy against radius, of which a network that is always "
    "right and never fooled would have all.",
    attrgetter("l2_area"),
    percent,
    is_comparable=attrgetter("attack_is_ranked"),
    about=_attacked_by,
    doubts=attrgetter("attack_doubts"),
)
SPEEDUP = Column(
    "speed-up, ×",
    "Measured latency of the dense network over that of the compacted one, at the largest batch.",
    attrgetter("speedup"),
    ratio,
)
_MSE = Column(
    "mse",
    "Mean squared error over the test inputs, in the target's own units.",
    lambda row: row.others.get("mse"),
    number,
)
_WITH_TREES = Column(
    "with trees, %",
    "Accuracy or R² of the network together with gradient-boosted trees: a mean of both, weighted "
    "on the validation split.",
    attrgetter("ensemble"),
    percent,
)


def _beside_white_noise(row: Row) -> str:
    white = row.others.get("white_noise_l2")
    if white is None or white.value is None:
        return ""
    return f"along white noise {distance(white.value)}"


_COLUMNS = (
    ACCURACY,
    R2,
    _MSE,
    Column(
        "against dense, points",
        "Accuracy or R² minus that of the dense network of the same seed, in percentage points.",
        attrgetter("against_dense"),
        points,
    ),
    _WITH_TREES,
    DISTANCE,
    AREA,
    Column(
        "degraded, %",
        "Accuracy on degraded images: the mean over kinds of the mean over levels, without levels "
        "that show an undegraded picture or one that other kinds show as well.",
        attrgetter("degraded"),
        percent,
        doubts=attrgetter("doubts"),
        kinds="degrade",
    ),
    Column(
        "corruption error, ×",
        "Wrong answers to corrupted images, over those of the dense network of the same seed to "
        "the same images; only where that network gives enough of them. No mCE, whose reference is "
        "AlexNet on the files of ImageNet-C.",
        attrgetter("corruption_error"),
        ratio,
        doubts=attrgetter("doubts"),
        kinds="corrupt",
    ),
    Column(
        "worst noise, l2",
        "Median over the correctly classified test images of the l2 distance at which the network "
        "errs along noise of a generator that was trained against it (Rusak et al. 2020). Rows are "
        "not ordered by it: wrong answers are left out, which flatters networks that err.",
        lambda row: row.others.get("worst_noise_l2"),
        distance,
        about=_beside_white_noise,
        order=lambda _: None,
        ordered_by="not ordered",
        doubts=attrgetter("doubts"),
    ),
    Column(
        "MACs ratio, ×",
        "Multiply-accumulates of the dense network over those of the compacted one.",
        attrgetter("macs_ratio"),
        ratio,
    ),
    SPEEDUP,
)


def shown(rows: Iterable[Row]) -> tuple[Column, ...]:
    """The columns that any of these rows has a number for; accuracy where there are none at all."""
    rows = list(rows)
    columns = (*_COLUMNS, *declared_columns("leaderboard", "terminal"))
    return tuple(column for column in columns if is_measured(column, rows)) or (ACCURACY,)


def other_levels(rows: Iterable[Row]) -> tuple[Column, ...]:
    """The level by the measures of the papers, as far as any of these rows has it."""
    rows = list(rows)
    return tuple(c for c in declared_columns("levels") if is_measured(c, rows))


def is_measured(column: Column, rows: Iterable[Row]) -> bool:
    """Whether any row has this number."""
    return any(column.estimate(row) is not None for row in rows)


_UNITS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "share": (", %", percent),
    "ratio": (", ×", ratio),
    "l2": (", l2", distance),
    "number": ("", number),
}
"""By unit of a metric: how the head of its column ends, and how it is written."""


def declared_columns(*places: str) -> tuple[Column, ...]:
    """The columns that stages ask for.

    Args:
        places: see `robench.stages.base.MetricInfo.shown`.
    """
    return tuple(_column(of) for of in declared_metrics() if of.info.shown in places)


def _column(metric: Declared) -> Column:
    ending, write = _UNITS[metric.info.unit]
    key = metric.key
    title = f"{metric.info.title}{ending}"
    return Column(title, metric.info.meaning, lambda row: row.others.get(key), write)

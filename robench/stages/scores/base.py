"""The interface of a metric of answers.

class Margin(Score):
\"\"\"Mean gap between the two largest probabilities.\"\"\"  # `robench list metrics` shows it

name = "margin"
title = "margin"
bounds = (0.0, 1.0)
shown = "leaderboard"    # it has a column of its own

def measure(self, answers: Answers) -> Figure:
largest = np.sort(answers.probabilities, axis=1)[:, -2:]  # [N, 2]
return mean_of(largest[:, 1] - largest[:, 0])
"""

from __future__ import annotations

import inspect
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from robench.stages.base import MetricInfo, Unit

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Answers", "Figure", "Score", "check_plugin", "mean_of"]


@dataclass(frozen=True)
class Answers:
    """What a network answers to N inputs of one condition.

    Args:
        logits: [N, classes].
        labels: [N], the right classes.
        bins: number of bins of confidence, for metrics that bin.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    bins: int = 15

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, [N, classes]."""
        from robench.measure.calibration import probabilities

        return probabilities(self.logits)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """The largest probability of each answer, [N]."""
        largest: NDArray[np.float64] = self.probabilities.max(axis=1)
        return largest

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each answer is right, [N]."""
        right: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.labels
        return right


@dataclass(frozen=True)
class Figure:
    """A value, and its 95% interval over the inputs where it has one; `None` is "not defined"."""

    value: float | None
    low: float | None = None
    high: float | None = None


def mean_of(scores: NDArray[np.float64]) -> Figure:
    """Mean of one number an input, [N], with Student's t interval; infinite ends are left open."""
    from robench.stats.resampling import mean_figure

    return Figure(*(end if math.isfinite(end) else None for end in mean_figure(scores)))


class Score(ABC):
    """One number about the answers of a network.

    Attributes:
        name: in records and in suites.
        version: raised whenever the figure changes; another version makes other cells.
        title, meaning, unit, bounds, better, shown: see `robench.stages.base.MetricInfo`; an
            empty `meaning` is the first line of the docstring.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    meaning: ClassVar[str] = ""
    unit: ClassVar[Unit] = "number"
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    better: ClassVar[Literal["higher", "lower"] | None] = None
    shown: ClassVar[Literal["terminal", "leaderboard", "levels", "kept"]] = "kept"

    @abstractmethod
    def measure(self, answers: Answers) -> Figure:
        """The figure of these answers; at least one input is there."""

    @classmethod
    def info(cls) -> MetricInfo:
        """What it says about itself, for the board and for people."""
        return MetricInfo(
            cls.name,
            cls.title,
            cls.meaning or (inspect.getdoc(cls) or "").partition("\n")[0],
            unit=cls.unit,
            bounds=cls.bounds,
            better=cls.better,
            shown=cls.shown,
        )


def check_plugin(value: object) -> str | None:
    """Why `value` is not a metric of answers, or `None` if it is one."""
    if not isinstance(value, type) or not issubclass(value, Score) or value is Score:
        return "it is not a subclass of robench.stages.scores.Score"
    name: object = getattr(value, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return f"its `name` is {name!r}, not lower-case letters, digits and underscores"
    title: object = getattr(value, "title", None)
    if not isinstance(title, str) or not title.strip():
        return f"its `title` is {title!r}, not the head of a column"
    version: object = value.version
    if not isinstance(version, int) or version < 1:
        return f"its `version` is {version!r}, not a whole number from 1"
    if inspect.isabstract(value) or not _takes_answers(value.measure):
        return "its `measure` does not take (self, answers)"
    return None


def _takes_answers(measure: Callable[..., Any]) -> bool:
    try:
        inspect.signature(measure).bind(None, None)
    except TypeError:
        return False
    return True

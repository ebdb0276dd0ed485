"""The reader's choices: which panel, training and level a chart shows.

Not every panel has every level or every noise. A chart starts with a combination that has data,
and when the reader changes one choice the page moves the others to the nearest combination that
exists, so that no choice leads to an empty chart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robench.analysis.frame import CLEAN_TRAINING
from robench.board.model.format import level

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.leaderboard import Leaderboard

__all__ = [
    "LEVEL",
    "PANEL",
    "TRAINING",
    "Choices",
    "Control",
    "choices_of",
    "training_name",
]

PANEL, TRAINING, LEVEL = "chosen_panel", "chosen_training", "chosen_level"
"""Parameters of the charts: numbers of a panel and a training of the board, and a level."""
_PREFERRED = 0.9
"""The level that charts start with where it is there."""


@dataclass(frozen=True)
class Control:
    """A choice that the reader has: a parameter of the chart, and its values with their texts."""

    parameter: str
    label: str
    options: tuple[tuple[float, str], ...]
    default: float


@dataclass(frozen=True)
class Choices:
    """Controls that depend on each other, with the combinations of their values that have data.

    Args:
        parameters: of the controls, in their order.
        combinations: one value a parameter; the best to start with first.
        controls: the controls themselves, starting with the first combination.
    """

    parameters: tuple[str, ...]
    combinations: tuple[tuple[float, ...], ...]
    controls: tuple[Control, ...]

    def start(self, **fixed: float) -> dict[str, float]:
        """The best combination with these values."""
        for combination in self.combinations:
            values = dict(zip(self.parameters, combination, strict=True))
            if fixed.items() <= values.items():
                return values
        return fixed

    @property
    def for_page(self) -> dict[str, Any]:
        """What the page needs to keep the choices together."""
        return {"parameters": self.parameters, "combinations": self.combinations}


def choices_of(
    board: Leaderboard, each: pd.DataFrame, parameters: Sequence[str] = (PANEL, LEVEL, TRAINING)
) -> Choices:
    """The choices among the networks that a chart shows.

    The dense control and given networks have no level of their own: they are shown at each, and
    where they are alone the chart has the usual level, of which nothing else is seen.

    Args:
        board: numbers the panels and trainings.
        each: rows of these networks, with the columns ``panel``, ``training``, ``method`` and
            ``level``.
        parameters: which of the three the reader may choose, in the order of the controls.
    """
    columns = ["panel", "training", "method", "level"]
    networks = each[columns].drop_duplicates().itertuples(index=False, name=None)
    levels: dict[tuple[int, int], set[float]] = {}
    for panel, training, method, asked in networks:
        of = levels.setdefault((board.panels.index(panel), board.trainings.index(training)), set())
        if board.kinds[method].is_graded:
            of.add(float(asked))
    usual = _best(board.levels)
    places = {place: of or {usual} for place, of in levels.items()}
    # A level that many panels have comes before one that few have.
    common = Counter(asked for of in places.values() for asked in of)
    ordered = [
        {PANEL: panel, TRAINING: training, LEVEL: asked}
        for (panel, training), of in sorted(places.items())
        for asked in sorted(of, key=lambda asked: (asked != _best(of), -common[asked], asked))
    ]
    if PANEL not in parameters:
        ordered.sort(key=lambda values: (values[TRAINING], -common[values[LEVEL]]))
    combinations = tuple(
        dict.fromkeys(tuple(values[name] for name in parameters) for values in ordered)
    )
    found = Choices(tuple(parameters), combinations, ())
    start = found.start()
    controls = tuple(
        _control(board, name, sorted({values[name] for values in ordered}), start[name])
        for name in parameters
    )
    return Choices(tuple(parameters), combinations, controls)


def training_name(training: str) -> str:
    """What networks were trained on, for people."""
    return "clean images" if training == CLEAN_TRAINING else training


def _control(board: Leaderboard, name: str, values: Iterable[float], default: float) -> Control:
    if name == PANEL:
        texts = [(value, board.panels[int(value)]) for value in values]
        return Control(name, "Data · model", tuple(texts), default)
    if name == TRAINING:
        texts = [(value, training_name(board.trainings[int(value)])) for value in values]
        return Control(name, "Trained on", tuple(texts), default)
    texts = [(value, f"{level(value)}%") for value in values]
    return Control(name, "Requested sparsity", tuple(texts), default)


def _best(levels: Iterable[float]) -> float:
    """90 % where there is such a level, else the middle one."""
    ordered = sorted(levels)
    if not ordered:
        return 0.0
    return _PREFERRED if _PREFERRED in ordered else ordered[len(ordered) // 2]

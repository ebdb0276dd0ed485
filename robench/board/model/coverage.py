"""What is there of the grid that the records span, and what is missing or went wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from robench.board.model.comparable import ROW
from robench.board.model.format import level
from robench.stages import place_of

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.measured import RowKey

__all__ = [
    "Coverage",
    "NotReached",
    "Standing",
    "coverage_of",
    "not_reached_of",
    "standings_of",
]

State = Literal["complete", "incomplete", "failed", "not applicable"]


@dataclass(frozen=True)
class Standing:
    """Whether a row is whole, and if not, why."""

    state: State
    reasons: tuple[str, ...] = ()
    """One sentence for each stage and cause, in the order of the stages."""
    seeds: int = 0
    """How many seeds the panel has: a number that rests on fewer is not ranked."""


@dataclass(frozen=True)
class Coverage:
    """How many cells of the grid succeeded.

    The grid is what the records span: every seed, stage and level that any method of a panel has,
    for all methods of that panel.
    """

    ok: int
    expected: int
    not_applicable: int
    missing_levels: tuple[str, ...]
    """Sentences that name the methods whose curves lack levels altogether."""

    @property
    def share(self) -> float:
        """Of the cells that can succeed, how many did; 1 where there are none."""
        possible = self.expected - self.not_applicable
        return self.ok / possible if possible else 1.0


@dataclass(frozen=True)
class NotReached:
    """A row whose method did not come to the level that it was asked for."""

    panel: str
    training: str
    method: str
    level: float
    achieved: tuple[float, float]
    """The least and the most sparsity that it came to, over the seeds that failed."""
    seeds: tuple[int, ...]
    reason: str
    """Of the first of these seeds."""


_BLOCK = ["panel", "training"]


def standings_of(frame: pd.DataFrame) -> dict[RowKey, Standing]:
    """The standing of each row: complete means that every seed and stage of its panel succeeded."""
    cells = _result_cells(frame)
    wanted: dict[tuple[str, str], set[tuple[str, int]]] = {}
    for (panel, training), of in cells.groupby(_BLOCK):
        stages = [str(stage) for stage in of["stage"].unique()]
        wanted[(str(panel), str(training))] = set(itertools.product(stages, _seeds_of(of)))
    outcomes: dict[RowKey, dict[tuple[str, int], tuple[str, str]]] = {}
    given: set[RowKey] = set()
    told = cells[[*ROW, "stage", "seed", "status", "reason", "is_given"]]
    for cell in told.to_dict("records"):
        key = (cell["panel"], cell["training"], cell["method"], cell["level"])
        outcome = (cell["status"], _first_line(cell["reason"]))
        outcomes.setdefault(key, {})[(cell["stage"], int(cell["seed"]))] = outcome
        if cell["is_given"]:
            given.add(key)
    return {
        key: _standing(own, _of_given(own, wanted[key[:2]]) if key in given else wanted[key[:2]])
        for key, own in outcomes.items()
    }


def coverage_of(frame: pd.DataFrame) -> Coverage:
    """How much of the grid is there."""
    cells = _result_cells(frame)
    expected = 0
    missing: list[str] = []
    for (panel, training), of in cells.groupby(_BLOCK):
        stages = of["stage"].nunique()
        graded = of[of["is_graded"]]
        levels = set(graded["level"].unique())
        given = of[of["is_given"]].drop_duplicates(["method", "level", "seed"])
        dense = of.loc[of["is_dense"], "method"].nunique()
        networks = dense + graded["method"].nunique() * len(levels)
        expected += int(stages * (len(_seeds_of(of)) * networks + len(given)))
        where = panel if training == "none" else f"{panel}, trained on {training}"
        for method, own in graded.groupby("method"):
            absent = sorted(levels - set(own["level"].unique()))
            if absent:
                listed = ", ".join(f"{level(share)}%" for share in absent)
                missing.append(f"{method} on {where} has no cells at {listed}")
    status = cells["status"]
    return Coverage(
        ok=int((status == "ok").sum()),
        expected=expected,
        not_applicable=int((status == "not-applicable").sum()),
        missing_levels=tuple(missing),
    )


def not_reached_of(frame: pd.DataFrame) -> tuple[NotReached, ...]:
    """The levels that methods say they did not reach, and how far they came."""
    cells = _result_cells(frame)
    short = cells[
        (cells["stage"] == "train")
        & (cells["status"] == "not-applicable")
        & cells["level_achieved"].notna()
    ].sort_values([*ROW, "seed"])
    return tuple(
        NotReached(
            panel=str(panel),
            training=str(training),
            method=str(method),
            level=float(of["level"].iloc[0]),
            achieved=(float(of["level_achieved"].min()), float(of["level_achieved"].max())),
            seeds=tuple(int(seed) for seed in of["seed"]),
            reason=_first_line(of["reason"].iloc[0]),
        )
        for (panel, training, method, _), of in short.groupby(ROW)
    )


def _seeds_of(cells: pd.DataFrame) -> set[int]:
    """The seeds of the networks that were trained; where there are none, of those given."""
    trained = cells[~cells["is_given"]]
    return {int(seed) for seed in (trained if len(trained) else cells)["seed"]}


def _of_given(
    own: Mapping[tuple[str, int], object], wanted: set[tuple[str, int]]
) -> set[tuple[str, int]]:
    """A given network is whole with one seed: its own."""
    stages = {stage for stage, _ in wanted}
    return set(itertools.product(stages, {seed for _, seed in own}))


def _result_cells(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["role"] == "result"].drop_duplicates("id")


def _standing(
    outcomes: Mapping[tuple[str, int], tuple[str, str]], wanted: set[tuple[str, int]]
) -> Standing:
    trained = {seed: outcomes.get(("train", seed), ("missing", ""))[0] for _, seed in wanted}
    wrong: dict[tuple[str, str], list[int]] = {}
    for stage, seed in sorted(wanted, key=lambda place: (*place_of(place[0]), place[1])):
        status, reason = outcomes.get((stage, seed), ("missing", ""))
        # What could not run because its network is not there needs no sentence of its own.
        follows = stage != "train" and trained[seed] not in ("ok", "noisy") and status != "ok"
        if status != "ok" and not follows:
            wrong.setdefault((stage, f"{status}: {reason}" if reason else status), []).append(seed)
    reasons = tuple(
        f"{stage}, {_seeds(seeds)}: {outcome}" for (stage, outcome), seeds in wrong.items()
    )
    return Standing(_state(trained.values(), complete=not wrong), reasons, len(trained))


def _state(trained: Iterable[str], *, complete: bool) -> State:
    states = set(trained)
    if complete:
        return "complete"
    if states == {"not-applicable"}:
        return "not applicable"
    return "incomplete" if states & {"ok", "noisy"} else "failed"


def _seeds(seeds: list[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _first_line(reason: object) -> str:
    return reason.partition("\n")[0] if isinstance(reason, str) else ""

"""Which numbers belong to which row: one metric of one stage, averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robench.analysis.frame import COLUMNS
from robench.board.model.comparable import BOARD_COLUMNS, ROW
from robench.board.model.estimates import Estimate, estimate_of, estimates
from robench.errors import PluginError
from robench.stages import STAGES, is_own, place_of

if TYPE_CHECKING:
    import pandas as pd

    from robench.stages import MetricInfo

__all__ = [
    "FRACTION",
    "Declared",
    "RowKey",
    "by_key",
    "declared_metrics",
    "key_of",
    "measured",
    "others_of",
]

RowKey = tuple[str, str, str, float]
"""Panel, training, method, level."""
FRACTION = (0.0, 1.0)


@dataclass(frozen=True)
class Declared:
    """A metric as its stage declares it.

    Attributes:
        stage: that measures it.
        info: what it says about it.
        is_own: whether both are robench's own.
    """

    stage: str
    info: MetricInfo
    is_own: bool

    @property
    def key(self) -> str:
        """Its name, which robench's own have for themselves; of a plug-in's with the stage."""
        return self.info.name if self.is_own else f"{self.stage}: {self.info.name}"


def declared_metrics() -> Iterator[Declared]:
    """What the stages say about their metrics, in the order of the stages.

    Of a stage that cannot be imported here, or whose plug-in file was not given, nothing is known.
    """
    for stage in sorted(STAGES.names(), key=place_of):
        with suppress(PluginError):
            found = STAGES.get(stage)
            own = found.metrics if is_own(stage) else ()
            for info in found.all_metrics():
                yield Declared(stage, info, info in own)


def key_of(row: Mapping[Any, Any]) -> RowKey:
    """The row of the leaderboard that a row of the long table belongs to."""
    return (row["panel"], row["training"], row["method"], row["level"])


def measured(frame: pd.DataFrame, stage: str, metric: str) -> pd.DataFrame:
    """The rows of one metric of the networks that count: start networks are no result."""
    is_result = frame["role"] == "result"
    wanted = is_result & (frame["stage"] == stage) & (frame["metric"] == metric)
    # What no record has is asked for often, and none of fifty columns need be looked through.
    return frame[wanted] if wanted.any() else frame[:0]


def by_key(frame: pd.DataFrame, **how: Any) -> dict[RowKey, Estimate]:
    """The mean over seeds, by the row of the leaderboard."""
    if frame.empty:
        return {}
    found = estimates(frame, ROW, **how).to_dict("records")
    return {key_of(row): estimate_of(row) for row in found}


def others_of(frame: pd.DataFrame) -> dict[RowKey, dict[str, Estimate]]:
    """What each row has of the metrics that stages declare, by `Declared.key`.

    Of a metric that is measured under several conditions it is the one without any.
    """
    known = {(metric.stage, metric.info.name): metric for metric in declared_metrics()}
    conditions = [name for name in frame.columns if name not in (*COLUMNS, *BOARD_COLUMNS)]
    plain = frame[(frame["role"] == "result") & frame[conditions].isna().all(axis=1)]
    places = zip(plain["stage"], plain["metric"], strict=True)
    keyed: list[Any] = [known[at].key if at in known else None for at in places]
    plain = plain.assign(key=keyed)
    ways: dict[tuple[tuple[float, float], bool], list[str]] = {}
    for metric in known.values():
        way = (metric.info.bounds, metric.info.over_seeds == "geometric")
        ways.setdefault(way, []).append(metric.key)
    found: dict[RowKey, dict[str, Estimate]] = {}
    for (bounds, is_geometric), keys in ways.items():
        each = plain[plain["key"].isin(keys)]
        if each.empty:
            continue
        means = estimates(each, [*ROW, "key"], bounds=bounds, geometric=is_geometric)
        for row in means.to_dict("records"):
            found.setdefault(key_of(row), {})[row["key"]] = estimate_of(row)
    return found

"""The rows of the leaderboard: one network under one training, method and level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robench.board.comparable import ROW
from robench.board.estimates import Estimate, estimate_of, estimates
from robench.stats.intervals import paired_difference

if TYPE_CHECKING:
    import pandas as pd

    from robench.spec import Record

__all__ = ["Flag", "Row", "RowKey", "flags_of", "measured", "rows_of"]

RowKey = tuple[str, str, str, float]
"""Panel, training, method, level."""
FRACTION = (0.0, 1.0)


@dataclass(frozen=True)
class Flag:
    """A warning of the attack stage: this distance may flatter the network."""

    name: str
    meaning: str
    seeds: int
    """For how many seeds it was raised."""


@dataclass(frozen=True)
class Row:
    """Everything that is known about one row; what was not measured is `None`."""

    panel: str
    data: str
    model: str
    training: str
    method: str
    level: float
    """The requested level."""
    level_achieved: Estimate | None = None
    accuracy: Estimate | None = None
    against_dense: Estimate | None = None
    """Accuracy minus that of the dense network of the same seed."""
    median_l2: Estimate | None = None
    degraded: Estimate | None = None
    """Accuracy on degraded images: the mean over kinds of the mean over levels."""
    operation_ratio: Estimate | None = None
    speedup: Estimate | None = None
    batch_size: int | None = None
    """At which the speed-up was measured: the largest there is."""
    flags: tuple[Flag, ...] = ()

    @property
    def model_label(self) -> str:
        """The model, with what else tells two panels of one data set and model apart."""
        return self.panel.removeprefix(f"{self.data} · ")

    @property
    def key(self) -> RowKey:
        """What tells it from the other rows."""
        return (self.panel, self.training, self.method, self.level)


def measured(frame: pd.DataFrame, stage: str, metric: str) -> pd.DataFrame:
    """The rows of one metric of the networks that count: start networks are no result."""
    is_result = frame["role"] == "result"
    return frame[is_result & (frame["stage"] == stage) & (frame["metric"] == metric)]


def rows_of(frame: pd.DataFrame, records: Iterable[Record]) -> list[Row]:
    """All rows, whether anything was measured or not, in the order of their keys."""
    results = frame[frame["role"] == "result"]
    places = results.drop_duplicates(ROW).sort_values(ROW).to_dict("records")
    columns = _columns(frame)
    flags = flags_of(records, frame)
    batch_sizes = _largest_batch(measured(frame, "speed", "speedup"))
    return [
        Row(
            panel=place["panel"],
            data=place["data"],
            model=place["model"],
            training=place["training"],
            method=place["method"],
            level=place["level"],
            batch_size=batch_sizes.get(place["panel"]),
            flags=flags.get(_key(place), ()),
            **{name: column.get(_key(place)) for name, column in columns.items()},
        )
        for place in places
    ]


def _key(row: Mapping[Any, Any]) -> RowKey:
    return (row["panel"], row["training"], row["method"], row["level"])


def _columns(frame: pd.DataFrame) -> dict[str, Mapping[RowKey, Estimate]]:
    """Each column of the leaderboard, by the key of the row."""
    accuracy = measured(frame, "train", "accuracy")
    speedup = measured(frame, "speed", "speedup")
    largest = speedup["panel"].map(_largest_batch(speedup))
    return {
        "level_achieved": _by_key(measured(frame, "train", "level_achieved"), bounds=FRACTION),
        "accuracy": _by_key(accuracy, bounds=FRACTION),
        "against_dense": _against_dense(accuracy),
        "median_l2": _by_key(measured(frame, "attack", "median_l2"), bounds=(0.0, float("inf"))),
        "degraded": _by_key(_mean_over_degradations(frame), bounds=FRACTION),
        "operation_ratio": _by_key(measured(frame, "speed", "operation_ratio"), geometric=True),
        "speedup": _by_key(
            speedup[speedup["batch_size"] == largest] if len(speedup) else speedup, geometric=True
        ),
    }


def _by_key(frame: pd.DataFrame, **how: Any) -> dict[RowKey, Estimate]:
    if frame.empty:
        return {}
    found = estimates(frame, ROW, **how).to_dict("records")
    return {_key(row): estimate_of(row) for row in found}


def _largest_batch(speedup: pd.DataFrame) -> dict[str, int]:
    if speedup.empty:
        return {}
    largest = speedup.groupby("panel")["batch_size"].max()
    return {str(panel): int(size) for panel, size in largest.items()}


def _mean_over_degradations(frame: pd.DataFrame) -> pd.DataFrame:
    """For each network the mean over kinds of the mean over levels: each kind counts alike."""
    each = measured(frame, "degrade", "accuracy")
    if each.empty:
        return each
    network = [*ROW, "seed"]
    kinds = each.groupby([*network, "kind"])["value"].mean()
    mean = kinds.groupby(network).mean().reset_index()
    # The images are the same for all levels, so that no interval of one network follows.
    return mean.assign(low=float("nan"), high=float("nan"), n=each["n"].min())


def _against_dense(accuracy: pd.DataFrame) -> dict[RowKey, Estimate]:
    by_row: dict[RowKey, dict[int, float]] = {}
    for row in accuracy.dropna(subset="value").to_dict("records"):
        by_row.setdefault(_key(row), {})[int(row["seed"])] = row["value"]
    differences = {}
    for key, values in by_row.items():
        dense = by_row.get((key[0], key[1], "dense", 0.0), {})
        found = paired_difference(values, dense)
        if key[2] != "dense" and found.n:
            low, high = found.low, found.high
            differences[key] = Estimate(
                value=found.value,
                low=max(low, -1.0) if low is not None else None,
                high=min(high, 1.0) if high is not None else None,
                seeds=found.n,
                interval="seeds" if low is not None else None,
            )
    return differences


def flags_of(records: Iterable[Record], frame: pd.DataFrame) -> dict[RowKey, tuple[Flag, ...]]:
    """The flags that were raised, by the row that they belong to."""
    keys = {row["id"]: _key(row) for row in frame.drop_duplicates("id").to_dict("records")}
    counts: dict[RowKey, dict[tuple[str, str], int]] = {}
    for record in records:
        if record.cell.stage != "attack" or record.id not in keys:
            continue
        of_row = counts.setdefault(keys[record.id], {})
        for flag in _raised(record.details.get("flags")):
            of_row[flag] = of_row.get(flag, 0) + 1
    return {
        key: tuple(Flag(name, meaning, seeds) for (name, meaning), seeds in sorted(of_row.items()))
        for key, of_row in counts.items()
        if of_row
    }


def _raised(flags: object) -> Sequence[tuple[str, str]]:
    if not isinstance(flags, list):
        return ()
    return [
        (str(flag.get("name", "flag")), str(flag.get("meaning", "")))
        for flag in flags
        if isinstance(flag, dict) and flag.get("raised")
    ]

"""How good networks are: accuracy where they tell classes apart, R² where they predict a number.

Both are shares, of the inputs that are answered rightly and of the variance that is explained, and
both are shown in percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.board.estimates import Estimate
from robench.board.measured import FRACTION, RowKey, by_key, key_of, measured
from robench.stats.intervals import paired_difference

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ACCURACY", "QUALITIES", "R2", "Quality", "against_dense", "estimated", "qualities_of"]


@dataclass(frozen=True)
class Quality:
    """A measure of how good a network is, the more the better, at most 1.

    Args:
        metric: its name in the records.
        name: its name for people.
        bounds: what it can be.
    """

    metric: str
    name: str
    bounds: tuple[float, float]

    def of(self, frame: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
        """The rows of the long table that measure it; of trees and ensembles with a prefix."""
        return measured(frame, "trees" if prefix else "train", prefix + self.metric)


ACCURACY = Quality("accuracy", "accuracy", FRACTION)
R2 = Quality("r2", "R²", (float("-inf"), 1.0))
QUALITIES = (ACCURACY, R2)


def qualities_of(frame: pd.DataFrame) -> dict[str, Quality]:
    """The measure of each panel; panels without any number go by accuracy."""
    regressions = set(R2.of(frame)["panel"])
    return {panel: R2 if panel in regressions else ACCURACY for panel in frame["panel"].unique()}


def estimated(frame: pd.DataFrame, prefix: str = "") -> dict[RowKey, Estimate]:
    """The quality of each row, or that of its trees or ensemble."""
    found: dict[RowKey, Estimate] = {}
    for quality in QUALITIES:
        found |= by_key(quality.of(frame, prefix), bounds=quality.bounds)
    return found


def against_dense(frame: pd.DataFrame) -> dict[RowKey, Estimate]:
    """The quality of each row minus that of the dense network of the same seed."""
    return {
        key: difference
        for quality in QUALITIES
        for key, difference in _differences(quality, quality.of(frame)).items()
    }


def _differences(quality: Quality, each: pd.DataFrame) -> dict[RowKey, Estimate]:
    by_row: dict[RowKey, dict[int, float]] = {}
    controls: dict[tuple[str, str], RowKey] = {}
    for row in each.dropna(subset="value").to_dict("records"):
        key = key_of(row)
        by_row.setdefault(key, {})[int(row["seed"])] = row["value"]
        if row["is_dense"]:
            # Of several the first by its label.
            controls[key[:2]] = min(key, controls.get(key[:2], key))
    dense_rows = {key_of(row) for row in each[each["is_dense"]].to_dict("records")}
    least, most = quality.bounds
    differences = {}
    for key, values in by_row.items():
        control = controls.get(key[:2])
        found = paired_difference(values, by_row[control] if control is not None else {})
        if key not in dense_rows and found.n:
            low, high = found.low, found.high
            differences[key] = Estimate(
                value=found.value,
                low=max(low, least - most) if low is not None else None,
                high=min(high, most - least) if high is not None else None,
                seeds=found.n,
                interval="seeds" if low is not None else None,
            )
    return differences

"""How good networks are: accuracy where they tell classes apart, R² where they predict a number.

Both are shares, of the inputs that are answered rightly and of the variance that is explained, and
both are shown in percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robench.board.model.measured import FRACTION, RowKey, by_key, measured
from robench.stats.intervals import Bounds, difference

if TYPE_CHECKING:
    import pandas as pd

    from robench.board.model.estimates import Estimate

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
    known = each.dropna(subset="value")
    same = ["panel", "training", "seed"]
    figures = [*same, *Bounds._fields]
    # Of several dense networks the first by its label.
    controls = known[known["is_dense"]].sort_values("method").drop_duplicates(same)
    both = known[~known["is_dense"]].merge(controls[figures], on=same, suffixes=("", "_dense"))
    if both.empty:
        return {}
    sparse, dense = (
        Bounds(*(both[name + end].to_numpy(np.float64) for name in Bounds._fields))
        for end in ("", "_dense")
    )
    least, most = quality.bounds
    return by_key(
        both.assign(**difference(sparse, dense)._asdict()), bounds=(least - most, most - least)
    )

"""One number for people: its value, its interval, and what the interval is about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from robench.analysis.seeds import over_seeds

__all__ = ["Estimate", "estimate_of", "estimates"]

Source = Literal["seeds", "network"]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds."""

    value: float | None
    low: float | None
    high: float | None
    seeds: int
    n: int | None = None
    """How many images, or repeats, each seed's value rests on."""
    interval: Source | None = None
    """``seeds``: of the mean over seeds, and over the inputs that all of them were tested on;
    ``network``: of the one network that there is."""
    without: int = 0
    """How many of the seeds have no value, so that there is no mean."""

    @property
    def basis(self) -> str:
        """What the number rests on, in words."""
        counted = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        sample = f", n = {self.n:,} each" if self.n is not None else ""
        missing = f", {self.without} of them without a value" if self.without else ""
        return counted + missing + sample


def estimates(
    frame: pd.DataFrame,
    by: Sequence[str],
    *,
    geometric: bool = False,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> pd.DataFrame:
    """Means over seeds with their intervals; of one seed, with that network's own interval.

    Returns:
        What `robench.stats.over_seeds` returns, with the columns ``n`` and ``interval``.
    """
    by = list(by)
    found = over_seeds(frame, by, geometric=geometric, bounds=bounds)
    # The same groups in the same order.
    own = frame.groupby(by, dropna=False)[["low", "high", "n"]].min()
    alone = (found["seeds"] == 1) & found["value"].notna()
    for bound in ("low", "high"):
        found[bound] = np.where(alone, own[bound].to_numpy(np.float64), found[bound])
    source = np.where(alone, "network", "seeds")
    found["interval"] = np.where(found["low"].notna(), source, "none")
    return found.assign(n=own["n"].array)


def estimate_of(row: Mapping[Any, Any]) -> Estimate:
    """The estimate in one row of a frame of estimates."""
    return Estimate(
        value=_finite(row["value"]),
        low=_finite(row["low"]),
        high=_finite(row["high"]),
        seeds=int(row["seeds"]),
        n=int(row["n"]) if _finite(row["n"]) is not None else None,
        interval=row["interval"] if row["interval"] != "none" else None,
        without=int(row["without"]),
    )


def _finite(value: Any) -> float | None:
    number = float(value) if pd.notna(value) else math.nan
    return number if math.isfinite(number) else None

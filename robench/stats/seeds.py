"""What several seeds say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from robench.errors import InputError
from robench.stats.intervals import t_half_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["over_seeds"]


def over_seeds(
    frame: pd.DataFrame,
    by: Sequence[str],
    *,
    geometric: bool = False,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean and Student's t interval over the seeds of each group.

    One seed has no interval over seeds, so that its bounds are missing. Where a seed has no value
    (a median that no attack reached, say), the mean over the others would flatter, and is missing
    too.

    Args:
        frame: has the columns `by`, ``seed`` and ``value``; one row a seed in each group.
        by: columns that make a group; missing values make a group of their own.
        geometric: average logarithms, as ratios ask for.
        bounds: what the quantity can be at all; intervals are cut there.
        confidence: in (0, 1).

    Returns:
        One row a group, in order: the columns `by`, ``value``, ``low``, ``high``, ``seeds`` (how
        many there are) and ``without`` (how many of them have no value).

    Raises:
        InputError: a seed twice in one group: rows that are not comparable were put together.
    """
    by = list(by)
    twice = frame.duplicated([*by, "seed"])
    if twice.any():
        first = frame.loc[twice, [*by, "seed"]].iloc[0].to_dict()
        raise InputError(
            "a seed has two values in one group", where=str(first), allowed="one row a seed"
        )
    scaled = frame[by].assign(value=_scaled(frame["value"].to_numpy(np.float64), geometric))
    groups = scaled.groupby(by, dropna=False, sort=True)["value"]
    found = groups.agg(value="mean", deviation="std", seeds="size", with_value="count")
    without = found["seeds"] - found["with_value"]
    mean = found["value"].where(without == 0).to_numpy(np.float64)
    half = t_half_width(found["deviation"].to_numpy(), found["seeds"].to_numpy(), confidence)
    edges = {"value": mean, "low": mean - half, "high": mean + half}
    unscaled = {name: np.exp(edge) if geometric else edge for name, edge in edges.items()}
    cut = {name: np.clip(unscaled[name], *bounds) for name in ("low", "high")}
    columns = {**unscaled, **cut, "seeds": found["seeds"], "without": without}
    return pd.DataFrame(columns, index=found.index).reset_index()


def _scaled(values: NDArray[np.float64], geometric: bool) -> NDArray[np.float64]:
    finite = np.where(np.isfinite(values), values, np.nan)
    if not geometric:
        return finite
    return np.log(np.where(finite > 0, finite, np.nan))

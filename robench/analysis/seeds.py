"""What several seeds say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from robench.errors import InputError
from robench.stats.intervals import Bounds, check_confidence, t_half_width, widen

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
    """Mean over the seeds of each group, with an interval over seeds and images.

    The interval over seeds is Student's t. Where each seed comes with an interval of its own, over
    the images that it was tested on, the two are combined by `robench.stats.intervals.widen`: seeds
    that agree by chance do not make a figure more certain than the images allow, since all seeds
    are tested on the same ones. One seed has no interval over seeds, so that its bounds are
    missing. Where a seed has no value (a median that no attack reached, say), the mean over the
    others would flatter, and is missing too.

    Args:
        frame: has the columns `by`, ``seed`` and ``value``; one row a seed in each group. Columns
            ``low`` and ``high``, if there are any, are bounds of each seed's own interval: missing
            in both where it has none, in one where the interval has no end on that side.
        by: columns that make a group; missing values make a group of their own.
        geometric: average logarithms, as ratios ask for.
        bounds: what the quantity can be at all; intervals are cut there.
        confidence: in (0, 1); images come in at that of their own bounds.

    Returns:
        One row a group, in order: the columns `by`, ``value``, ``low``, ``high``, ``seeds`` (how
        many there are) and ``without`` (how many of them have no value).

    Raises:
        InputError: a column that is missing, or a seed twice in one group: rows that are not
            comparable were put together.
    """
    check_confidence(confidence)
    by = list(by)
    _check(frame, by)
    own = _own_bounds(frame, geometric)
    scaled = frame[by].assign(
        value=own.value, below=own.value - own.low, above=own.high - own.value
    )
    groups = scaled.groupby(by, dropna=False, sort=True)
    sizes, values, bounds_of_images = groups.size(), groups["value"], groups[["below", "above"]]
    seeds = sizes.to_numpy()
    without = seeds - values.count().to_numpy()
    mean = np.where(without == 0, values.mean().to_numpy(), np.nan)
    half = t_half_width(values.std().to_numpy(), seeds, confidence)
    # A seed without an interval leaves none to combine.
    is_whole = bounds_of_images.count().to_numpy() == seeds[:, np.newaxis]
    below, above = np.where(is_whole, bounds_of_images.mean().to_numpy(), np.nan).T
    edges = widen(mean, half, Bounds(mean, mean - below, mean + above))._asdict()
    unscaled = {name: np.exp(edge) if geometric else edge for name, edge in edges.items()}
    cut = {name: np.clip(unscaled[name], *bounds) for name in ("low", "high")}
    columns = {**unscaled, **cut, "seeds": seeds, "without": without}
    return pd.DataFrame(columns, index=sizes.index).reset_index()


def _check(frame: pd.DataFrame, by: list[str]) -> None:
    missing = [name for name in (*by, "seed", "value") if name not in frame.columns]
    if missing or not by:
        raise InputError(
            f"there is no column {missing[0]!r}" if missing else "no column makes groups",
            allowed=[str(name) for name in frame.columns],
            hint="a mean over seeds needs the columns seed and value, and one at least that tells "
            "groups apart",
        )
    twice = frame.duplicated([*by, "seed"])
    if twice.any():
        first = frame.loc[twice, [*by, "seed"]].iloc[0].to_dict()
        raise InputError(
            "a seed has two values in one group", where=str(first), allowed="one row a seed"
        )


def _own_bounds(frame: pd.DataFrame, geometric: bool) -> Bounds:
    """Each seed's value and interval, as logarithms where these are averaged."""
    value, low, high = (
        pd.to_numeric(frame[name]).to_numpy(np.float64, na_value=np.nan)
        if name in frame.columns
        else np.full(len(frame), np.nan)
        for name in ("value", "low", "high")
    )
    low = np.where(np.isnan(low) & ~np.isnan(high), 0.0 if geometric else -np.inf, low)
    high = np.where(np.isnan(high) & ~np.isnan(low), np.inf, high)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (np.log(low), np.log(high)) if geometric else (low, high)
    return Bounds(_scaled(value, geometric), *ends)


def _scaled(values: NDArray[np.float64], geometric: bool) -> NDArray[np.float64]:
    finite = np.where(np.isfinite(values), values, np.nan)
    if not geometric:
        return finite
    return np.log(np.where(finite > 0, finite, np.nan))

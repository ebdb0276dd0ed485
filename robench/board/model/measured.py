"""Which numbers belong to which row: one metric of one stage, averaged over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from robench.board.model.comparable import ROW
from robench.board.model.estimates import Estimate, estimate_of, estimates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FRACTION", "OTHERS", "RowKey", "by_key", "key_of", "measured", "others_of"]

RowKey = tuple[str, str, str, float]
"""Panel, training, method, level."""
FRACTION = (0.0, 1.0)
ANY = (float("-inf"), float("inf"))

OTHERS: Mapping[str, tuple[str, tuple[float, float]]] = {
    "level_native": ("train", FRACTION),
    "level_convolutions": ("train", FRACTION),
    "params_removed": ("train", FRACTION),
    "rows_zero": ("train", FRACTION),
    "columns_zero": ("train", FRACTION),
    "neurons_removed": ("train", FRACTION),
    "dead_inputs": ("train", FRACTION),
    "mse": ("train", (0.0, float("inf"))),
    "worst_noise_l2": ("worst_noise", (0.0, float("inf"))),
    "white_noise_l2": ("worst_noise", (0.0, float("inf"))),
    "trees_unused_inputs": ("trees", FRACTION),
    "importance_entropy": ("trees", (0.0, float("inf"))),
    "trees_importance_entropy": ("trees", (0.0, float("inf"))),
    "importance_divergence": ("trees", FRACTION),
    "ensemble_weight": ("trees", FRACTION),
}
"""What a row may have beside its columns, with the stage that measures it and its range."""


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
    """What each row has of `OTHERS`."""
    stages = {name: stage for name, (stage, _) in OTHERS.items()}
    known = frame[(frame["role"] == "result") & frame["metric"].isin(list(OTHERS))]
    known = known[known["stage"] == known["metric"].map(stages)]
    found: dict[RowKey, dict[str, Estimate]] = {}
    for bounds in dict.fromkeys(of[1] for of in OTHERS.values()):
        of_bounds = [name for name, of in OTHERS.items() if of[1] == bounds]
        each = known[known["metric"].isin(of_bounds)]
        if len(each):
            for row in estimates(each, [*ROW, "metric"], bounds=bounds).to_dict("records"):
                found.setdefault(key_of(row), {})[row["metric"]] = estimate_of(row)
    return found

"""Corruption errors of sparse networks against the dense control of the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from robench.board.comparable import ROW
from robench.board.measured import measured
from robench.measure.corruption_error import mean_corruption_error

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["corruption_errors"]

_COLUMNS = [*ROW, "seed", "value", "low", "high", "n"]


def corruption_errors(frame: pd.DataFrame, *, relative: bool = False) -> pd.DataFrame:
    """For each network the mean over kinds of its error divided by the dense network's.

    The dense network of the same panel, training and seed saw the same corrupted images, so that
    the ratio is about the networks alone, wherever the images come from.

    Args:
        frame: the long table of results.
        relative: of both errors take the error on clean images off first.

    Returns:
        One row a network, with the columns that `robench.board.estimates.estimates` reads; no value
        where the dense network has no error to divide by.
    """
    accuracy = measured(frame, "corrupt", "accuracy")
    if accuracy.empty:
        return pd.DataFrame(columns=_COLUMNS)
    means = accuracy.groupby([*ROW, "seed", "kind"])["value"].mean().reset_index()
    by_network: dict[tuple[object, ...], dict[str, float]] = {}
    for *network, kind, value in means.itertuples(index=False, name=None):
        by_network.setdefault(tuple(network), {})[kind] = 1 - value
    clean = _clean_errors(frame)
    counts = accuracy.groupby([*ROW, "seed"])["n"].min().to_dict()
    dense = _controls(accuracy)
    rows = []
    for key, own in by_network.items():
        control = dense.get((key[0], key[1], key[4]))
        # A control that was shown other kinds is none.
        if control is None or own.keys() != by_network[control].keys():
            continue
        zeros = (clean.get(key), clean.get(control)) if relative else (None, None)
        ratio = mean_corruption_error(
            own, by_network[control], clean_error=zeros[0], reference_clean_error=zeros[1]
        )
        rows.append((*key, ratio, None, None, counts[key]))
    found = pd.DataFrame(rows, columns=_COLUMNS)
    return found.astype({"value": "float64", "low": "float64", "high": "float64"})


def _controls(accuracy: pd.DataFrame) -> Mapping[tuple[object, ...], tuple[object, ...]]:
    """The dense network of each panel, training and seed; of several the first by its label."""
    dense = accuracy[accuracy["is_dense"]].sort_values(ROW, ascending=False)
    keys = dense[[*ROW, "seed"]].itertuples(index=False, name=None)
    return {(key[0], key[1], key[4]): key for key in keys}


def _clean_errors(frame: pd.DataFrame) -> Mapping[tuple[object, ...], float]:
    clean = measured(frame, "corrupt", "accuracy_clean")
    keys = clean[[*ROW, "seed"]].itertuples(index=False, name=None)
    return {key: 1 - value for key, value in zip(keys, clean["value"], strict=True)}

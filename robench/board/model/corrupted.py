"""Corruption errors of sparse networks against the dense control of the same seed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from robench.board.model.comparable import ROW
from robench.board.model.dense_parent import no_arrays
from robench.board.model.measured import measured
from robench.errors import StoreError
from robench.stats.error_ratio import LEAST_ERRORS, error_ratio
from robench.stats.resampling import Figure, ratio_of_bounded_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.board.model.dense_parent import ArraysOf

__all__ = ["corruption_errors"]

_log = logging.getLogger(__name__)

_COLUMNS = [*ROW, "seed", "value", "low", "high", "n"]
_ARRAYS = ("index", "label", "answers")
_CONDITION = ["kind", "severity"]


class _Shown(NamedTuple):
    """What a network answered to corrupted images.

    Attributes:
        id: of the record.
        conditions: kind and severity.
        errors: share of wrong answers in each condition, float64 [conditions].
        n: images in each condition.
    """

    id: str
    conditions: frozenset[tuple[str, float]]
    errors: NDArray[np.float64]
    n: int


def corruption_errors(frame: pd.DataFrame, arrays: ArraysOf = no_arrays) -> pd.DataFrame:
    """For each network its errors on all corrupted images divided by the dense network's.

    The dense network of the same panel, training and seed saw the same corrupted images, so that
    the ratio is about the networks alone, wherever the images come from. Errors are summed before
    they are divided: kinds in which the dense network hardly errs would rule a mean of ratios.

    Args:
        frame: the long table of results.
        arrays: reads the answers beside the records. With them the interval compares image by
            image; without, it takes the errors of the two networks as independent, and those of
            all conditions as errors on the same images, which makes it wider than need be.

    Returns:
        One row a network, with the columns that `robench.board.model.estimates.estimates` reads; no
        value where the dense network makes too few errors to divide by, see
        `robench.measure.corruption_error.LEAST_ERRORS`.
    """
    accuracy = measured(frame, "corrupt", "accuracy")
    if accuracy.empty:
        return pd.DataFrame(columns=_COLUMNS)
    networks = {key: _shown(of) for key, of in accuracy.groupby([*ROW, "seed"], dropna=False)}
    dense = _controls(accuracy)
    rows = []
    for key, own in networks.items():
        name = dense.get((key[0], key[1], key[4]))
        control = networks.get(name) if name is not None else None
        # A control that was shown other corruptions, or other images, is none.
        if control is None or (own.conditions, own.n) != (control.conditions, control.n):
            continue
        figure = _compared(own, control, arrays)
        bounds = (figure.value, figure.low, figure.high) if figure else (np.nan,) * 3
        rows.append((*key, *bounds, own.n))
    found = pd.DataFrame(rows, columns=_COLUMNS)
    return found.astype({"value": "float64", "low": "float64", "high": "float64"})


def _shown(of: pd.DataFrame) -> _Shown:
    ordered = of.sort_values(_CONDITION)
    conditions = ordered[_CONDITION].itertuples(index=False, name=None)
    return _Shown(
        id=str(ordered["id"].iloc[0]),
        conditions=frozenset(conditions),
        errors=1 - ordered["value"].to_numpy(np.float64),
        n=int(ordered["n"].min()),
    )


def _compared(own: _Shown, control: _Shown, arrays: ArraysOf) -> Figure | None:
    if control.errors.sum() * control.n < LEAST_ERRORS:
        return None
    if own.id == control.id:
        return Figure(1.0, np.nan, np.nan)
    answers, references = (_errors_by_image(shown, arrays) for shown in (own, control))
    if answers is not None and references is not None and np.array_equal(answers[0], references[0]):
        return ratio_of_bounded_means(answers[1], references[1], 1.0, seed=0)
    return Figure(*error_ratio(own.errors, control.errors, own.n))


def _errors_by_image(
    shown: _Shown, arrays: ArraysOf
) -> tuple[NDArray[np.generic], NDArray[np.float64]] | None:
    """Positions and true classes of the images, and the share of wrong answers to each."""
    try:
        found = arrays(shown.id, _ARRAYS)
    except StoreError as error:
        _log.warning("%s", error)
        return None
    if set(found) != set(_ARRAYS):
        return None
    wrong = found["answers"] != found["label"]
    return np.stack([found["index"], found["label"]]), wrong.mean(axis=0)


def _controls(accuracy: pd.DataFrame) -> dict[tuple[object, ...], tuple[object, ...]]:
    """The dense network of each panel, training and seed; of several the first by its label."""
    dense = accuracy[accuracy["is_dense"]].sort_values(ROW, ascending=False)
    keys = dense[[*ROW, "seed"]].itertuples(index=False, name=None)
    return {(key[0], key[1], key[4]): key for key in keys}

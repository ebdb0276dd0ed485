"""Each attacked network against its dense parent: the control of the same seed, image by image."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from robench.analysis.distances import Attacked, DistanceComparison, Over, compare_distances
from robench.board.model.comparable import ROW
from robench.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.board.model.measured import RowKey
    from robench.spec import Record

__all__ = ["MEASURES", "ArraysOf", "comparisons", "no_arrays"]

_log = logging.getLogger(__name__)

_ARRAYS = ("index", "distance", "correct")
MEASURES: Mapping[str, str] = {
    "ratio_of_medians": "ratio of medians",
    "ratio_of_areas": "ratio of areas under accuracy against radius",
    "geometric_mean_ratio": "geometric mean ratio, image by image",
}
"""What is compared, in words."""
_COLUMNS = [*ROW, "seed", "over", "measure", "value", "low", "high", "n"]
_COUNTS = ["further", "nearer", "p_value"]


class ArraysOf(Protocol):
    """Reads arrays that lie beside a record, such as `robench.store.Store.arrays`."""

    def __call__(
        self, cell_id: str, only: Collection[str] | None = None, /
    ) -> Mapping[str, NDArray[np.generic]]:
        """Those of these names, as far as they are there."""


def no_arrays(_cell_id: str, _only: Collection[str] | None = None, /) -> dict[str, Any]:
    """Nothing: the records alone are at hand."""
    return {}


def comparisons(attacks: Mapping[RowKey, list[Record]], arrays: ArraysOf) -> pd.DataFrame:
    """How far sparse networks must be pushed, as multiples of their dense parents.

    Args:
        attacks: the records of attacks that count, by row.
        arrays: reads what lies beside them.

    Returns:
        One row a network, set of images and measure: the columns of a row of the leaderboard,
        ``seed``, ``over`` (``all`` or ``both-correct``), ``measure`` (see `MEASURES`), ``value``
        with the bounds of its interval over images, ``n`` images, and of these how many are
        ``further`` and ``nearer``, with the ``p_value`` of the sign test. Figures that do not
        exist are NaN. Empty where there are no arrays, or no dense networks.
    """
    dense = {
        (key[:2], record.cell.seed): record
        for key, records in sorted(attacks.items(), reverse=True)
        for record in records
        if record.cell.method.is_dense
    }
    reader = _Reader(arrays)
    rows = [
        row
        for key, records in sorted(attacks.items())
        for record in records
        if record.cell.method.is_graded and (parent := dense.get((key[:2], record.cell.seed)))
        for row in _of_network(key, record, parent, reader)
    ]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *_COUNTS])


class _Reader:
    """The distances of networks, each read once."""

    def __init__(self, arrays: ArraysOf) -> None:
        self._arrays = arrays
        self._known: dict[str, Attacked | None] = {}

    def of(self, record: Record) -> Attacked | None:
        if record.id not in self._known:
            self._known[record.id] = self._read(record)
        return self._known[record.id]

    def _read(self, record: Record) -> Attacked | None:
        try:
            found = self._arrays(record.id, _ARRAYS)
        except StoreError as error:
            _log.warning("%s", error)
            return None
        if set(found) != set(_ARRAYS):
            return None
        return Attacked(
            index=found["index"].astype(np.int64),
            distance=found["distance"].astype(np.float64),
            correct=found["correct"].astype(np.bool_),
        )


def _of_network(
    key: RowKey, record: Record, parent: Record, reader: _Reader
) -> Iterator[tuple[object, ...]]:
    identity = record.details.get("images_sha256")
    if identity is None or identity != parent.details.get("images_sha256"):
        return
    sparse, dense = reader.of(record), reader.of(parent)
    if sparse is None or dense is None:
        return
    limit = float(str(record.cell.options["area_limit"]))
    overs: tuple[Over, ...] = ("all", "both-correct")
    for over in overs:
        found = compare_distances(sparse, dense, limit=limit, over=over)
        if found is not None:
            yield from _rows(key, record.cell.seed, found)


def _rows(key: RowKey, seed: int, found: DistanceComparison) -> Iterator[tuple[object, ...]]:
    for measure in MEASURES:
        figure = getattr(found, measure)
        # A ratio of zero, too, has no logarithm, in which ratios of several seeds are averaged.
        is_known = np.isfinite(figure.value) and figure.value > 0
        bounds = [bound if np.isfinite(bound) else np.nan for bound in (figure.low, figure.high)]
        yield (
            *key,
            seed,
            found.over,
            measure,
            figure.value if is_known else np.nan,
            *(bounds if is_known and not np.isnan(bounds).any() else (np.nan, np.nan)),
            found.n,
            found.further,
            found.nearer,
            found.p_value,
        )

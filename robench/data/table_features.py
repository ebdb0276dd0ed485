"""Columns of a table as features: numbers, categories as indicators, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas.api import types

from robench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

__all__ = ["as_text", "features_of"]

_SHOWN = 20
"""Columns that one message names."""


@dataclass(frozen=True)
class _Column:
    """One column of a table, and where it lies."""

    name: str
    values: pd.Series
    file: str

    def error(self, what: str, *, row: int | None = None, hint: str | None = None) -> DataError:
        """A complaint that names file, column and row, the first below the names being 1."""
        place = f", row {row + 1}" if row is not None else ""
        return DataError(what, where=f"{self.file}, column {self.name!r}{place}", hint=hint)


def features_of(
    frame: pd.DataFrame, *, by: NDArray[np.int64], categorical: Collection[str], file: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The features of each row, not scaled yet, and their names.

    Numbers stay numbers; a missing one becomes the median of the column's training rows. Text, and
    what `categorical` names, becomes one feature a category that the training rows have,
    ``colour=red``; any other category is none of them. Where training rows lack a value, one more
    feature says which rows do: ``age is missing``.

    Args:
        frame: the columns, each with a name of its own.
        by: positions of the training rows.
        categorical: columns of numbers that name categories.
        file: for messages.

    Returns:
        float64 [N, F], and F names, in the order of the columns.

    Raises:
        DataError: columns that say nothing, or that are neither numbers nor categories.
    """
    _check_informative(frame, file)
    found = [
        feature
        for name in frame.columns
        for feature in _encoded(
            _Column(name, frame[name], file), by, is_category=name in categorical
        )
    ]
    return np.column_stack([values for _, values in found]), tuple(name for name, _ in found)


def as_text(values: pd.Series) -> pd.Series:
    """Categories as text: whole numbers without a point, missing ones as `None`."""
    text = [
        f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value).strip()
        for value in values
    ]
    return pd.Series(text, index=values.index, dtype=object).mask(values.isna(), None)


def _check_informative(frame: pd.DataFrame, file: str) -> None:
    distinct = frame.nunique(dropna=False)
    empty = [name for name in frame.columns if frame[name].isna().all()]
    constant = [name for name in frame.columns if distinct[name] < 2 and name not in empty]
    for names, fault in ((empty, "no value at all"), (constant, "the same value in every row")):
        if names:
            listed = ", ".join(names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise DataError(
                f"{len(names)} of {len(frame.columns)} columns "
                f"{'have' if len(names) > 1 else 'has'} {fault}: {listed}{more}",
                where=file,
                hint=f"leave them out with `drop: [{', '.join(names)}]`",
            )


def _encoded(
    column: _Column, by: NDArray[np.int64], *, is_category: bool
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    values = column.values
    missing = values.isna().to_numpy()
    if missing[by].all():
        raise column.error(
            "none of the training rows has a value", hint=f"leave it out: `drop: [{column.name}]`"
        )
    if types.is_numeric_dtype(values) and not is_category:
        yield column.name, _numbers(column, missing, by)
    elif is_category or types.is_string_dtype(values) or types.is_object_dtype(values):
        yield from _indicators(column, by, is_category=is_category)
    elif isinstance(values.dtype, pd.CategoricalDtype):
        yield from _indicators(column, by, is_category=True)
    else:
        raise column.error(
            f"values of type {values.dtype} are neither numbers nor categories",
            hint=f"make numbers of them, or leave them out: `drop: [{column.name}]`",
        )
    if missing[by].any():
        yield f"{column.name} is missing", missing.astype(np.float64)


def _numbers(
    column: _Column, missing: NDArray[np.bool_], by: NDArray[np.int64]
) -> NDArray[np.float64]:
    numbers = column.values.to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise column.error("an infinite value", row=int(infinite[0]), hint="leave the field empty")
    return np.where(missing, np.nanmedian(numbers[by]), numbers)


def _indicators(
    column: _Column, by: NDArray[np.int64], *, is_category: bool
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    if not is_category:
        _check_not_numbers(column)
    text = as_text(column.values)
    distinct = text.nunique()
    if 2 * distinct > text.notna().sum():
        raise column.error(
            f"{distinct} different texts in {text.notna().sum()} rows are no categories: a name or "
            "number that is each row's own says nothing about the next row",
            hint=f"leave it out: `drop: [{column.name}]`",
        )
    for category in sorted(text.iloc[by].dropna().unique()):
        yield f"{column.name}={category}", (text == category).to_numpy(dtype=np.float64)


def _check_not_numbers(column: _Column) -> None:
    """A column that a few odd fields have turned into text is a mistake, not a category."""
    given = column.values.dropna()
    odd = pd.to_numeric(given.astype(str), errors="coerce").isna().to_numpy()
    if 0 < odd.sum() < len(given) / 2:
        row = int(given.index[odd][0])
        raise column.error(
            f"{given.loc[row]!r} among numbers, and {odd.sum() - 1} more like it",
            row=row,
            hint="mend the field or leave it empty; numbers that name categories: "
            f"`categorical: [{column.name}]`",
        )

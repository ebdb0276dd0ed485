"""Tables: the user's own rows of features, from a CSV, TSV or Parquet file."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
from pandas.api import types
from pydantic import Field

from robench.data.assembly import TrainingSubset, assemble, scaled_to_unit
from robench.data.base import Data, Dataset
from robench.data.splits import Splits, official_split, own_split
from robench.data.table_features import as_text, features_of
from robench.data.table_file import ENDINGS, is_table, read_table
from robench.errors import DataError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_CLASSES", "Table", "family"]

MOST_CLASSES = 20
"""A column of numbers with more different values than this is the target of a regression."""
_LEAST_ROWS = 10
_VALIDATION = dict.fromkeys(("valid", "val"), "validation")
_SPLITS = {"train", "validation", "test"}


def family(path: str, *, where: str | None = None) -> type[Dataset]:
    """Your own table: a .csv, .tsv or .parquet file with named columns; classes or a regression.

    Args:
        path: of the file; a relative one starts at the data root, or else right here.
        where: file and line of the text that asked.

    Raises:
        ParameterError: a file of another kind.
    """
    if not is_table(path):
        raise ParameterError(f"csv:{path} is no table", where=where, allowed=ENDINGS)

    class TableFile(Table):
        __doc__ = family.__doc__
        # Where a file lies is no part of what it is: its content is hashed instead.
        name = f"csv:{PurePath(path).name}"

    TableFile.path = path
    return TableFile


class Table(Dataset):
    """Rows of a file. Features are scaled to [0, 1] by the training split, and clipped."""

    path: ClassVar[str]

    class Params(TrainingSubset):
        """What the columns are."""

        label: str | None = None
        """The column to be predicted; `None` means the last one."""
        task: Literal["auto", "classification", "regression"] = "auto"
        """``auto``: numbers of more than 20 different values are the target of a regression, all
        else names classes."""
        categorical: tuple[str, ...] = ()
        """Columns of numbers that name categories; text always does."""
        drop: tuple[str, ...] = ()
        """Columns that are left out."""
        split: str | None = None
        """A column that says which rows are ``train``, ``validation`` (``valid``, ``val``) and
        ``test``. Where there are two kinds only, the other than ``train`` is the test split, and
        10 % of the training rows become the validation split. `None`: 70:10:20, stratified."""
        separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
        """Between two fields; `None` means the comma of .csv and the tab of .tsv."""

    def load(self, root: Path, /) -> Data:
        """Rows float32 [N, F], with labels int64 [N] or float32 [N]."""
        file = find_file(self.path, root)
        frame = read_table(file, self.params.separator)
        if len(frame) < _LEAST_ROWS:
            raise DataError(
                f"{len(frame)} rows are too few to train on",
                where=str(file),
                allowed=f"{_LEAST_ROWS} rows or more",
            )
        frame, label, split = self._taken_apart(frame, file)
        classes, labels = _labels(label, self.params.task, file)
        strata = (labels if classes else np.zeros(len(labels))).astype(np.int64)
        splits = _own_splits(strata) if split is None else _given_splits(split, strata, file)
        _check_classes(classes, labels, splits, file)
        subset = self.params.subset
        by = splits.train[:subset]
        rows, features = features_of(
            frame, by=by, categorical=self.params.categorical, file=str(file)
        )
        return assemble(
            self.name,
            classes=classes,
            inputs=scaled_to_unit(rows, by=by),
            labels=labels,
            splits=splits,
            subset=subset,
            features=features,
        )

    def _taken_apart(
        self, frame: pd.DataFrame, file: Path
    ) -> tuple[pd.DataFrame, pd.Series, pd.Series | None]:
        """The columns of features, the label, and which split each row belongs to."""
        params = self.params
        named = [params.label, params.split, *params.categorical, *params.drop]
        unknown = [name for name in named if name is not None and name not in frame.columns]
        if unknown:
            raise ParameterError(
                f"there is no column {unknown[0]!r}",
                where=str(file),
                allowed=", ".join(frame.columns[:30]) + (", …" if len(frame.columns) > 30 else ""),
            )
        left = [name for name in frame.columns if name not in (*params.drop, params.split)]
        label = params.label or (left[-1] if left else None)
        features = [name for name in left if name != label]
        if label not in left or not features:
            raise ParameterError(
                f"no column is left to {'learn from' if label in left else 'be predicted'}",
                where=str(file),
                hint="look at `label`, `split` and `drop`",
            )
        if params.label is None and set(_split_words(frame[label])) <= _SPLITS:
            raise DataError(
                "the last column says how the rows are split, not what is to be predicted",
                where=f"{file}, column {label!r}",
                hint=f"write `split: {label}`, and name the `label`",
            )
        return frame[features], frame[label], frame[params.split] if params.split else None


def find_file(path: str, root: Path) -> Path:
    """The file of a table: a relative path starts at the data root, or else right here.

    Raises:
        DataError: it is in neither place.
    """
    given = Path(path).expanduser()
    places = [given] if given.is_absolute() else [root / given, Path.cwd() / given]
    for place in places:
        if place.is_file():
            return place
    raise DataError(
        f"there is no table {path!r}",
        where=" nor ".join(map(str, places)),
        hint="name the folder that holds it by --data or ROBENCH_DATA, or give the whole path",
    )


def _labels(
    column: pd.Series, task: str, file: Path
) -> tuple[tuple[str, ...], NDArray[np.int64] | NDArray[np.float64]]:
    """The classes' names and positions in them; for a regression no names and the targets."""
    where = f"{file}, column {column.name!r}"
    absent = np.flatnonzero(column.isna())
    if len(absent):
        raise DataError(
            f"{len(absent)} of {len(column)} rows have no label",
            where=f"{where}, row {absent[0] + 1}",
            hint="take these rows out of the file, or name another column as `label`",
        )
    is_number = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
    if task == "regression" and not is_number:
        odd = pd.to_numeric(column.astype(str), errors="coerce").isna().to_numpy()
        row = int(np.flatnonzero(odd)[0]) if odd.any() else 0
        raise DataError(
            f"the target of a regression cannot be {column.iloc[row]!r}",
            where=f"{where}, row {row + 1}",
            allowed="numbers, or `task: classification`",
        )
    if task == "regression" or (task == "auto" and is_number and column.nunique() > MOST_CLASSES):
        return (), column.to_numpy(dtype=np.float64)
    text = as_text(column)
    order = column.sort_values() if is_number else text.sort_values()
    classes = tuple(text.loc[order.index].drop_duplicates())
    if len(classes) < 2:
        raise DataError(
            f"all rows have the label {classes[0]!r}: nothing to tell apart", where=where
        )
    return classes, pd.Categorical(text, categories=classes).codes.astype(np.int64)


def _own_splits(strata: NDArray[np.int64]) -> Splits:
    # The name of a file may change without its rows, so that it does not fix the permutation.
    return own_split(strata, "table")


def _given_splits(column: pd.Series, strata: NDArray[np.int64], file: Path) -> Splits:
    words = _split_words(column)
    kinds = set(words)
    if "train" not in kinds or len(kinds) < 2 or not kinds <= _SPLITS:
        raise DataError(
            f"the rows are split into {', '.join(sorted(map(str, set(column))))}",
            where=f"{file}, column {column.name!r}",
            allowed="train and test, and perhaps validation; or train and validation",
        )
    if len(kinds) == 2:
        words = words.replace("validation", "test")
    train, validation, test = (
        np.flatnonzero(words == kind) for kind in ("train", "validation", "test")
    )
    order = np.concatenate([train, validation, test])
    ranks = official_split(strata[order], "table", train=len(train), validation=len(validation))
    return Splits(order[ranks.train], order[ranks.validation], order[ranks.test])


def _split_words(column: pd.Series) -> pd.Series:
    return as_text(column).map(lambda word: _VALIDATION.get(str(word).lower(), str(word).lower()))


def _check_classes(
    classes: tuple[str, ...],
    labels: NDArray[np.int64] | NDArray[np.float64],
    splits: Splits,
    file: Path,
) -> None:
    for position, name in enumerate(classes):
        rows = np.flatnonzero(labels == position)
        if not np.isin(rows, splits.train).any():
            raise DataError(
                f"no training row has the class {name!r}, which only {len(rows)} rows have",
                where=f"{file}, row {rows[0] + 1}",
                hint="take the class out of the file; many numbers are no classes: "
                "`task: regression`",
            )

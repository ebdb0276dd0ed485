"""Tables of trials: one row for each image, condition and answer, read alike by all comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from robench.errors import InputError, nearest_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.spec import Record

__all__ = ["Columns", "Trials", "paired_trials", "trials"]

Trials: TypeAlias = "pd.DataFrame | Mapping[str, Sequence[object]]"
"""A table of trials: pandas, or anything that makes a DataFrame of columns."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table of trials, the same in both tables that are compared.

    Args:
        image: tells images apart.
        condition: such as the level of a degradation; `None` takes all trials as one condition.
        answer: read where there is no column `correct`.
        label: the true class; it may be missing where there is a column `correct`.
        correct: whether the answer was correct.
    """

    image: str = "image"
    condition: str | None = "condition"
    answer: str = "answer"
    label: str = "label"
    correct: str = "correct"


def trials(record: Record, arrays: Mapping[str, NDArray[np.generic]]) -> pd.DataFrame:
    """Every answer of a network on graded images, one row each.

    Args:
        record: of the stage ``degrade`` or ``corrupt``.
        arrays: what lies beside it, of `robench.store.Store.arrays`.

    Returns:
        The columns ``image`` (its number in the data set), ``condition`` (kind and level),
        ``label`` and ``answer``: what `robench.error_consistency` reads.

    Raises:
        InputError: a record that kept no answers.
    """
    conditions = record.details.get("conditions")
    if not isinstance(conditions, list) or "answers" not in arrays:
        raise InputError(
            f"the record {record.id} of the stage {record.cell.stage} kept no answers",
            allowed="records of degrade and corrupt that succeeded, with their arrays",
        )
    count = len(arrays["index"])
    return pd.DataFrame(
        {
            "image": np.tile(arrays["index"], len(conditions)),
            "condition": np.repeat([str(condition) for condition in conditions], count),
            "label": np.tile(arrays["label"], len(conditions)),
            "answer": arrays["answers"].ravel(),
        }
    )


def paired_trials(a: Trials, b: Trials, columns: Columns) -> pd.DataFrame:
    """The trials of two systems side by side, those that only one of them has included.

    Args:
        a: one row a trial. A missing answer is wrong.
        b: the same of the other system, in any order.
        columns: what their columns are called.

    Returns:
        One row for each image and condition: the columns ``image``, ``condition``, ``in_a`` and
        ``in_b`` (whether each system has the trial), and ``a`` and ``b`` (whether each was right;
        false where it does not have the trial).

    Raises:
        InputError: a column that is missing, no trials, an image or a condition without a name, an
            image twice in a condition, or an image whose true class differs between rows.
    """
    tables = {"a": _read(a, columns, "a"), "b": _read(b, columns, "b")}
    _check_labels(tables)
    keys = ["image", "condition"]
    # An outer join would sort by the keys, which may be of several types.
    known = tables["b"][keys].merge(tables["a"][keys].assign(in_a=True), on=keys, how="left")
    places = [tables["a"][keys], tables["b"][keys][known["in_a"].isna().to_numpy()]]
    both = pd.concat(places, ignore_index=True)
    for whose, table in tables.items():
        answers = table[[*keys, "correct"]].rename(columns={"correct": f"correct_{whose}"})
        both = both.merge(answers, on=keys, how="left")
    return pd.DataFrame(
        {
            **{key: both[key] for key in keys},
            **{f"in_{whose}": both[f"correct_{whose}"].notna() for whose in tables},
            **{whose: both[f"correct_{whose}"].eq(True) for whose in tables},
        }
    )


def _read(given: Trials, columns: Columns, whose: str) -> pd.DataFrame:
    """The columns ``image``, ``condition``, ``correct`` and, where there is one, ``label``.

    All but ``correct`` are objects: the categories, or the integer types, of two tables need not
    be the same.
    """
    table = given if isinstance(given, pd.DataFrame) else pd.DataFrame(dict(given))
    if table.empty:
        raise InputError("there are no trials", where=f"table {whose}")
    found = {"image": _column(table, columns.image, whose)}
    if columns.condition is not None:
        found["condition"] = _column(table, columns.condition, whose)
    for name, values in found.items():
        if values.isna().any():
            raise InputError(
                f"{int(values.isna().sum())} trials have no {name}",
                where=f"table {whose}",
                allowed=f"a name or a number of the {name} in every row",
            )
    if columns.label in table.columns:
        found["label"] = table[columns.label]
    found["correct"] = _correct(table, columns, whose)
    read = pd.DataFrame({"condition": "all", **found}, index=table.index).reset_index(drop=True)
    read = read.astype({name: object for name in read.columns if name != "correct"})
    twice = read.duplicated(["image", "condition"])
    if twice.any():
        first = read.loc[twice].iloc[0]
        raise InputError(
            f"the image {first['image']!r} comes twice in the condition {first['condition']!r}",
            where=f"table {whose}",
            allowed="one trial for each image and condition",
            hint="give one table for each observer",
        )
    return read


def _correct(table: pd.DataFrame, columns: Columns, whose: str) -> pd.Series:
    if columns.correct in table.columns:
        correct = table[columns.correct]
        if correct.isna().any() or not correct.isin([0, 1]).all():
            raise InputError(
                f"the column {columns.correct!r} holds more than true and false",
                where=f"table {whose}",
                allowed="true and false, or 1 and 0",
            )
        return correct.astype(bool)
    answers = _column(table, columns.answer, whose)
    labels = _column(table, columns.label, whose)
    if labels.isna().any():
        raise InputError(
            f"{int(labels.isna().sum())} trials have no true class",
            where=f"table {whose}",
            allowed=f"a class in every row of the column {columns.label!r}",
        )
    # A missing answer equals nothing, so that it is wrong.
    same = answers.astype(object) == labels.astype(object)
    return same.fillna(False).astype(bool)


def _check_labels(tables: Mapping[str, pd.DataFrame]) -> None:
    """The same image has one true class, in every condition and in both tables.

    Otherwise the tables are of other images, or number them or the classes in another way, and the
    comparison would mean nothing.
    """
    labelled = [
        table[["image", "label"]].assign(table=whose)
        for whose, table in tables.items()
        if "label" in table.columns
    ]
    if not labelled:
        return
    known = pd.concat(labelled).dropna(subset="label")
    first = known.drop_duplicates("image").set_index("image")
    expected = known["image"].map(first["label"])
    differing = known[(known["label"] != expected).to_numpy()]
    if len(differing):
        image, label, table = differing.iloc[0]
        other = first.loc[image]
        raise InputError(
            f"{differing['image'].nunique()} images have two true classes: the first is the image "
            f"{image!r}, {other['label']!r} in table {other['table']} and {label!r} in table "
            f"{table}",
            allowed="the same images with the same true classes for both systems",
            hint="check that both tables number the images and the classes alike",
        )


def _column(table: pd.DataFrame, name: str, whose: str) -> pd.Series:
    if name not in table.columns:
        known = [str(column) for column in table.columns]
        near = nearest_names(str(name), known)
        raise InputError(
            f"there is no column {name!r}",
            where=f"table {whose}",
            allowed=known,
            hint="name its columns by image=, condition=, answer=, label= or correct="
            + (f"; did you mean {near[0]!r}?" if near else ""),
        )
    return table[name]

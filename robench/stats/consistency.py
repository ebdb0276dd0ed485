"""Do two systems err on the same images? Error consistency, Cohen's kappa of being right.

Geirhos, Meding and Wichmann 2020, "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs
and humans by measuring error consistency" (arXiv 2006.16736). Two systems of accuracies p and q
agree on e = pq + (1 − p)(1 − q) of the trials if their errors are independent; they are observed to
agree (both right, or both wrong) on a share o of them; κ = (o − e) / (1 − e). Few trials leave κ
very uncertain (Klein et al. 2025, arXiv 2507.06645), so that it comes with an interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from robench.errors import InputError, nearest_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["error_consistency"]

Trials: TypeAlias = "pd.DataFrame | Mapping[str, Sequence[object]]"
"""A table of trials: pandas, or anything that makes a DataFrame of columns."""

_COLUMNS = ("condition", "n", "accuracy_a", "accuracy_b", "observed", "expected")


def error_consistency(
    a: Trials,
    b: Trials,
    *,
    image: str = "image",
    condition: str | None = "condition",
    answer: str = "answer",
    label: str = "label",
    correct: str = "correct",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Cohen's kappa of two systems that saw the same images, for each condition.

    Args:
        a: one row a trial: the image, the condition, and either whether the answer was correct, or
            the answer and the label. A missing answer is wrong.
        b: the same of the other system; rows may come in any order.
        image: name of the column that tells images apart, the same for both systems.
        condition: name of the column of conditions, such as levels of a degradation; `None` takes
            all trials as one.
        answer: name of the column of answers, read where there is no column `correct`.
        label: name of the column of true classes.
        correct: name of the column that says whether an answer was correct.
        confidence: of the interval, in (0, 1).
        resamples: of the bootstrap, over trials.
        seed: of the bootstrap.

    Returns:
        One row a condition, in order: ``condition``, ``n`` (trials), ``accuracy_a``,
        ``accuracy_b``, ``observed`` and ``expected`` agreement, ``kappa`` in [−1, 1], and ``low``
        and ``high``, its percentile bootstrap interval over the trials. κ is undefined, and NaN,
        where both systems are right on all trials, or wrong on all: then nothing is left to
        explain. The interval leaves such resamples out, and is NaN where they are half of all or
        more.

    Raises:
        InputError: a column that is missing, an image twice in a condition, or trials that only
            one of the systems has.

    Example:
        >>> a = {"image": [1, 2, 3, 4], "correct": [True, True, False, False]}
        >>> b = {"image": [1, 2, 3, 4], "correct": [True, True, False, True]}
        >>> float(error_consistency(a, b, condition=None)["kappa"].iloc[0])
        0.5
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(
            f"confidence {confidence!r} and {resamples!r} resamples",
            allowed="a confidence in (0, 1) and at least one resample",
        )
    names = {"image": image, "condition": condition, "correct": correct}
    names |= {"answer": answer, "label": label}
    both = _joined(_trials(a, names, "a"), _trials(b, names, "b"))
    # Systems and resamples matter through how often both, one or none were right: nothing else of
    # the trials is needed, and a bootstrap over trials is a multinomial draw of these counts.
    counts = np.stack(
        [both.a & both.b, both.a & ~both.b, ~both.a & both.b, ~both.a & ~both.b], axis=1
    )
    generator = np.random.default_rng(seed)
    places = both.groupby("condition", sort=False).indices
    rows = [
        (name, *_described(counts[places[name]].sum(axis=0), confidence, resamples, generator))
        for name in sorted(places, key=_order)
    ]
    return pd.DataFrame(rows, columns=[*_COLUMNS, "kappa", "low", "high"])


def _order(condition: object) -> tuple[bool, float, str]:
    """Numbers by size, then text by letter: conditions may be either."""
    if isinstance(condition, Real):
        return False, float(condition), ""
    return True, 0.0, str(condition)


def _described(
    counts: NDArray[np.int64], confidence: float, resamples: int, generator: np.random.Generator
) -> Iterator[float]:
    """What is said about one condition, in the order of the columns."""
    n = int(counts.sum())
    yield n
    yield from (counts[[0, 1]].sum() / n, counts[[0, 2]].sum() / n)
    observed, expected = _agreement(counts)
    yield from (float(observed), float(expected), float(_kappa(counts)))
    drawn = _kappa(generator.multinomial(n, counts / n, size=resamples))
    defined = drawn[np.isfinite(drawn)]
    if 2 * len(defined) <= resamples:
        yield from (np.nan, np.nan)
        return
    tail = (1 - confidence) / 2
    yield from np.quantile(defined, [tail, 1 - tail]).tolist()


def _agreement(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Observed and expected agreement; counts [..., 4] of both, a alone, b alone, none right."""
    shares = counts / counts.sum(axis=-1, keepdims=True)
    of_a = shares[..., 0] + shares[..., 1]
    of_b = shares[..., 0] + shares[..., 2]
    return shares[..., 0] + shares[..., 3], of_a * of_b + (1 - of_a) * (1 - of_b)


def _kappa(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    observed, expected = _agreement(counts)
    # Both always right, or both always wrong: whole numbers say so exactly.
    undefined = (counts[..., 1] == 0) & (counts[..., 2] == 0)
    undefined &= (counts[..., 0] == 0) | (counts[..., 3] == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = (observed - expected) / (1 - expected)
    return np.where(undefined, np.nan, kappa)


def _trials(given: Trials, names: Mapping[str, str | None], whose: str) -> pd.DataFrame:
    """The columns ``image``, ``condition`` and ``correct`` of a table."""
    table = given if isinstance(given, pd.DataFrame) else pd.DataFrame(dict(given))
    if table.empty:
        raise InputError("there are no trials", where=f"table {whose}")
    found = {"image": _column(table, names["image"], whose), "condition": "all"}
    if names["condition"] is not None:
        found["condition"] = _column(table, names["condition"], whose)
    if names["correct"] in table.columns:
        correct = table[names["correct"]]
        if correct.isna().any() or not correct.isin([0, 1]).all():
            raise InputError(
                f"the column {names['correct']!r} holds more than true and false",
                where=f"table {whose}",
                allowed="true and false, or 1 and 0",
            )
        found["correct"] = correct.astype(bool)
    else:
        # As objects, since categories of two columns need not be the same.
        answers = _column(table, names["answer"], whose).astype(object)
        found["correct"] = answers == _column(table, names["label"], whose).astype(object)
    trials = pd.DataFrame({**found}, index=table.index).reset_index(drop=True)
    for column in ("image", "condition"):
        trials[column] = trials[column].astype(object)
    twice = trials.duplicated(["image", "condition"])
    if twice.any():
        first = trials.loc[twice].iloc[0]
        raise InputError(
            f"the image {first['image']!r} comes twice in the condition {first['condition']!r}",
            where=f"table {whose}",
            allowed="one trial for each image and condition",
            hint="give one table for each observer",
        )
    return trials


def _column(table: pd.DataFrame, name: str | None, whose: str) -> pd.Series:
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


def _joined(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The trials that both have, with the columns ``a`` and ``b``: whether each was right."""
    both = a.merge(b, on=["image", "condition"], how="outer", indicator=True)
    alone = both[both["_merge"] != "both"]
    if len(alone):
        first = alone.iloc[0]
        raise InputError(
            f"{len(alone)} of {len(both)} trials are in one table alone: the first is the image "
            f"{first['image']!r} in the condition {first['condition']!r}",
            allowed="the same images in the same conditions for both systems",
            hint="error consistency is about the same trials; leave the others out of both tables",
        )
    return both.assign(a=both.pop("correct_x").astype(bool), b=both.pop("correct_y").astype(bool))

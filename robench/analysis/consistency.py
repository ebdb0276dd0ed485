"""Do two systems err on the same images? Error consistency, Cohen's kappa of being right.

Geirhos, Meding and Wichmann 2020, "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs
and humans by measuring error consistency" (arXiv 2006.16736). Two systems of accuracies p and q
agree on e = pq + (1 − p)(1 − q) of the trials if their errors are independent; they are observed to
agree (both right, or both wrong) on a share o of them; κ = (o − e) / (1 − e). Few trials leave κ
very uncertain (Klein et al. 2025, arXiv 2507.06645), so that it comes with an interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from robench.errors import InputError
from robench.stats.trials import Columns, Trials, paired_trials

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEAST_TELLING", "error_consistency"]

LEAST_TELLING = 5
"""So many trials at least that one of two systems gets wrong, and as many that one gets right, make
an interval of κ. All that κ says comes from these trials: among fewer, a single one moves κ from
one end of its range to the other, and no interval of 95 % says more than that."""

_PRIOR = (0.5, 0.25, 0.25, 0.5)
"""Pseudo-trials in which both, a alone, b alone and none is right: half a trial for each kind of
agreement and half a trial for disagreement, as Jeffreys' prior has for a share."""

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
        label: name of the column of true classes; where both tables have it, it is compared.
        correct: name of the column that says whether an answer was correct.
        confidence: of the interval, in (0, 1).
        resamples: draws of the Bayesian bootstrap, over trials.
        seed: of the Bayesian bootstrap.

    Returns:
        One row a condition, in order: ``condition``, ``n`` (trials), ``accuracy_a``,
        ``accuracy_b``, ``observed`` and ``expected`` agreement, ``kappa`` in [−1, 1], and ``low``
        and ``high``, its interval over the trials: a Bayesian bootstrap (Rubin 1981), which, unlike
        the percentile bootstrap, has a width where no trial disagrees. κ is undefined, and NaN,
        where both systems are right on all trials, or wrong on all: then nothing is left to
        explain. The interval is NaN below `LEAST_TELLING` trials that any of them gets wrong, or
        right.

    Raises:
        InputError: a column that is missing, an image twice in a condition, an image with two true
            classes, or trials that only one of the systems has.

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
    columns = Columns(image, condition, answer, label, correct)
    both = paired_trials(a, b, columns)
    _check_the_same(both)
    # Only how often both, one or none were right matters of the trials: a Bayesian bootstrap over
    # trials is a Dirichlet draw of these four shares.
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
    if min(counts[1:].sum(), counts[:3].sum()) < LEAST_TELLING:
        yield from (np.nan, np.nan)
        return
    drawn = _kappa(generator.standard_gamma(counts + np.array(_PRIOR), size=(resamples, 4)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    # Without a trial that disagrees κ is 1, and with no shared error the least that it can be: ends
    # of the range that draws come near to, and do not reach.
    kappa = float(_kappa(counts))
    yield from (min(float(low), kappa), max(float(high), kappa))


def _agreement(
    counts: NDArray[np.int64] | NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Observed and expected agreement; counts [..., 4] of both, a alone, b alone, none right."""
    shares = counts / counts.sum(axis=-1, keepdims=True)
    of_a = shares[..., 0] + shares[..., 1]
    of_b = shares[..., 0] + shares[..., 2]
    return shares[..., 0] + shares[..., 3], of_a * of_b + (1 - of_a) * (1 - of_b)


def _kappa(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    observed, expected = _agreement(counts)
    # Both always right, or both always wrong: whole numbers say so exactly.
    undefined = (counts[..., 1] == 0) & (counts[..., 2] == 0)
    undefined &= (counts[..., 0] == 0) | (counts[..., 3] == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = (observed - expected) / (1 - expected)
    return np.where(undefined, np.nan, kappa)


def _check_the_same(both: pd.DataFrame) -> None:
    alone = both[~(both["in_a"] & both["in_b"])]
    if len(alone):
        first = alone.iloc[0]
        raise InputError(
            f"{len(alone)} of {len(both)} trials are in one table alone: the first is the image "
            f"{first['image']!r} in the condition {first['condition']!r}",
            allowed="the same images in the same conditions for both systems",
            hint="error consistency is about the same trials; leave the others out of both tables",
        )

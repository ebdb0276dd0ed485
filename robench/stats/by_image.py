"""Two networks on the same images: how much better one is, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from robench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.spec import Record

__all__ = ["difference_by_image", "trials"]


def trials(record: Record, arrays: Mapping[str, NDArray[np.generic]]) -> pd.DataFrame:
    """Every answer of a network on graded images, one row each.

    Args:
        record: of the stage ``degrade`` or ``corrupt``.
        arrays: what lies beside it, of `robench.store.Store.arrays`.

    Returns:
        The columns ``image`` (its number in the data set), ``condition`` (kind and level),
        ``label`` and ``answer``: what `difference_by_image` and `robench.error_consistency` read.

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


def difference_by_image(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy of one network less that of another, on the same images, for each condition.

    Args:
        a: trials, as of `trials`.
        b: those of the other network, in any order; only what both saw counts.
        confidence: of the interval, in (0, 1).
        resamples: of the bootstrap, over images.
        seed: of the bootstrap.

    Returns:
        One row a condition: ``condition``, ``n`` (images), ``a_alone`` and ``b_alone`` (images that
        only the one got right), ``difference`` with ``low`` and ``high``, its paired percentile
        bootstrap interval over images, and ``p``, of the exact test of McNemar 1947 that neither is
        better; 1 where they are right on the same images.

    Raises:
        InputError: an image twice in a condition, or nothing that both saw.
    """
    for whose, table in (("a", a), ("b", b)):
        if table.duplicated(["image", "condition"]).any():
            raise InputError("an image comes twice in a condition", where=f"table {whose}")
    both = a.merge(b, on=["image", "condition"], suffixes=("_a", "_b"))
    if both.empty:
        raise InputError("the two networks have no image and condition in common")
    of_a = both["answer_a"] == both["label_a"]
    of_b = both["answer_b"] == both["label_b"]
    alone = pd.DataFrame(
        {"condition": both["condition"], "a_alone": of_a & ~of_b, "b_alone": of_b & ~of_a}
    )
    generator = np.random.default_rng(seed)
    groups = alone.groupby("condition", sort=False)
    rows = [
        (condition, *_described(of, confidence, resamples, generator)) for condition, of in groups
    ]
    columns = ["condition", "n", "a_alone", "b_alone", "difference", "low", "high", "p"]
    return pd.DataFrame(rows, columns=columns)


def _described(
    alone: pd.DataFrame, confidence: float, resamples: int, generator: np.random.Generator
) -> Iterator[float]:
    """What is said about one condition, in the order of the columns."""
    n, a_alone, b_alone = len(alone), int(alone["a_alone"].sum()), int(alone["b_alone"].sum())
    yield from (n, a_alone, b_alone, (a_alone - b_alone) / n)
    # A bootstrap over images is a multinomial draw of how often the one, the other or none is
    # right alone.
    counts = np.array([a_alone, b_alone, n - a_alone - b_alone])
    drawn = generator.multinomial(n, counts / n, size=resamples)
    tail = (1 - confidence) / 2
    yield from np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [tail, 1 - tail]).tolist()
    differing = a_alone + b_alone
    yield float(binomtest(a_alone, differing).pvalue) if differing else 1.0

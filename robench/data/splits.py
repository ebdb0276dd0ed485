"""Which inputs train, which decide and which are reported on: the same for everyone, for ever.

The order comes from a permutation that the data set's name fixes, not from any run's seed. NumPy
guarantees the raw stream of its bit generators across versions and machines, which it does not for
`permutation`, so that the raw stream is what is sorted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Splits", "official_split", "own_split", "stratified_order"]

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Splits:
    """Positions in the whole data set, int64, of each split in its fixed order."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def own_split(labels: NDArray[np.int64], name: str) -> Splits:
    """The split of a data set that has none: 70 % train, 10 % validation, 20 % test, stratified.

    Args:
        labels: int64 [N], all labels of the data set.
        name: fixes the permutation.
    """
    order = stratified_order(labels, name)
    test = round(TEST_SHARE * len(order))
    validation = round(VALIDATION_SHARE * len(order))
    return Splits(
        train=order[test + validation :],
        validation=order[test : test + validation],
        test=order[:test],
    )


def official_split(
    labels: NDArray[np.int64], name: str, *, train: int, validation: int = 0
) -> Splits:
    """The split of a data set that has its own test set.

    Args:
        labels: int64 [N], all labels: first the official training set, then the official
            validation set if there is one, then the official test set.
        name: fixes the permutation.
        train: size of the official training set.
        validation: size of the official validation set; 0 means that 10 % of the training set
            become the validation split, stratified.
    """

    def ordered(start: int, stop: int) -> NDArray[np.int64]:
        return start + stratified_order(labels[start:stop], name)

    training = ordered(0, train)
    own = 0 if validation else round(VALIDATION_SHARE * train)
    return Splits(
        train=training[own:],
        validation=ordered(train, train + validation) if validation else training[:own],
        test=ordered(train + validation, len(labels)),
    )


def stratified_order(labels: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """A permutation in which every beginning has the classes in their right shares.

    Of the first m inputs, those of a class with share p number m·p, give or take (1 + C·p) / 2
    where there are C classes. An evaluation may therefore look at the first so many images of a
    split, and a quick suite may train on the first so many.

    Args:
        labels: int64 [N].
        name: fixes the permutation.

    Returns:
        int64 [N], positions in `labels`.
    """
    shuffled = _permutation(len(labels), name)
    _, inverse, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    rank = np.empty(len(labels), dtype=np.int64)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank[by_class] = np.arange(len(labels)) - starts
    # The r-th of the n members of a class belongs (r + 1/2) / n of the way down the list.
    place = (rank + 0.5) / counts[inverse]
    return shuffled[np.argsort(place, kind="stable")]


def _permutation(count: int, name: str) -> NDArray[np.int64]:
    key = int.from_bytes(hashlib.sha256(f"split of {name}".encode()).digest()[:16], "big")
    draws = np.random.Philox(key=key).random_raw(count)
    return np.argsort(draws, kind="stable").astype(np.int64)

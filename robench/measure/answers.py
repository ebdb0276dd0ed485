"""What can be said about a system's answers on graded images, whoever gave them.

Answers are positions in the list of classes; `NO_ANSWER` stands for a trial without one, as humans
leave some. The measures are those of Geirhos et al. 2018 (arXiv 1808.08750), beside two summaries
of a curve of accuracies over levels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import entropy

from robench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "NO_ANSWER",
    "area_under_levels",
    "confusion_matrix",
    "level_at_half_accuracy",
    "response_entropy_bits",
]

NO_ANSWER = -1


def response_entropy_bits(
    answers: ArrayLike, classes: int, *, missing: Literal["dropped", "counted"] = "dropped"
) -> float | None:
    """Shannon entropy of the distribution of answers: low where a system prefers few classes.

    Both published definitions agree for a system that always answers. Take it for each observer or
    network and average; the entropy of pooled answers is larger.

    Args:
        answers: whole numbers [N] from 0 to `classes` − 1, or `NO_ANSWER`.
        classes: how many there are; log2 of it is the entropy of even answers.
        missing: ``"dropped"`` leaves trials without an answer out (Geirhos et al. 2018);
            ``"counted"`` divides by all trials and does not renormalise (the model-vs-human
            toolbox of Geirhos et al. 2021, arXiv 2106.07411).

    Returns:
        Bits, at least 0; `None` where nobody answered.

    Raises:
        InputError: an answer that is no class.
    """
    given = _checked(answers, classes, "answers", missing_allowed=True)
    counts = np.bincount(given[given != NO_ANSWER], minlength=classes)
    if not counts.any():
        return None
    if missing == "dropped":
        return float(entropy(counts, base=2))
    shares = counts[counts > 0] / len(given)
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def confusion_matrix(answers: ArrayLike, labels: ArrayLike, classes: int) -> NDArray[np.int64]:
    """How often each class was answered for each class that was shown.

    Args:
        answers: whole numbers [N] from 0 to `classes` − 1, or `NO_ANSWER`.
        labels: whole numbers [N] from 0 to `classes` − 1.
        classes: how many there are.

    Returns:
        int64 [classes, classes]: shown by row, answered by column. Trials without an answer are in
        no column.

    Raises:
        InputError: an answer or a label that is no class, or not as many of one as of the other.
    """
    given = _checked(answers, classes, "answers", missing_allowed=True)
    shown = _checked(labels, classes, "labels", missing_allowed=False)
    if given.shape != shown.shape:
        raise InputError(f"{len(given)} answers for {len(shown)} labels", allowed="one for each")
    is_given = given != NO_ANSWER
    pairs = shown[is_given] * classes + given[is_given]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def area_under_levels(accuracies: Sequence[float]) -> float:
    """The area under accuracy over levels, each step between two levels as wide as the others.

    Levels of different kinds have different units, and some are infinite: only their order counts.
    The trapezoidal rule over places from 0 to 1.

    Args:
        accuracies: in [0, 1], at least two, from the mildest level to the strongest.

    Returns:
        A mean accuracy in [0, 1] in which the two outer levels count half.

    Raises:
        InputError: fewer than two levels.
    """
    if len(accuracies) < 2:
        raise InputError(f"{len(accuracies)} levels have no area under them", allowed="two or more")
    return float(np.trapezoid(accuracies, dx=1 / (len(accuracies) - 1)))


def level_at_half_accuracy(levels: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """The level at which accuracy first falls to half of what it is at the mildest level.

    Linear between the two levels around it; where one of them is infinite, as the mildest level of
    ``high-pass`` is, linear in one over the level. It is not corrected for guessing.

    Args:
        levels: from the mildest to the strongest.
        accuracies: in [0, 1], one for each.

    Returns:
        A level; `None` where accuracy never falls so far, or is nothing at the mildest level.

    Raises:
        InputError: not one accuracy for each level.
    """
    if len(levels) != len(accuracies) or not levels:
        raise InputError(f"{len(accuracies)} accuracies for {len(levels)} levels")
    half = accuracies[0] / 2
    if half == 0:
        return None
    for place in range(1, len(levels)):
        before, after = accuracies[place - 1], accuracies[place]
        if after <= half:
            share = (before - half) / (before - after)
            return _between(levels[place - 1], levels[place], share)
    return None


def _between(low: float, high: float, share: float) -> float:
    """What lies at a share in (0, 1] of the way from `low` to `high`."""
    if math.isinf(low) or math.isinf(high):
        return 1 / ((1 - share) / low + share / high)
    return (1 - share) * low + share * high


def _checked(
    values: ArrayLike, classes: int, word: str, *, missing_allowed: bool
) -> NDArray[np.int64]:
    given = np.asarray(values)
    least = NO_ANSWER if missing_allowed else 0
    whole = np.issubdtype(given.dtype, np.integer)
    if given.ndim != 1 or not whole or (given.size and not least <= given.min()):
        raise InputError(
            f"{word} of shape {given.shape} and type {given.dtype}",
            allowed=f"whole numbers [N] from {least} to {classes - 1}",
        )
    if given.size and given.max() >= classes:
        raise InputError(
            f"{word} up to {given.max()} for {classes} classes", allowed=f"0 to {classes - 1}"
        )
    return given.astype(np.int64)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc
from sklearn.metrics import confusion_matrix as confusion_of_sklearn

from robench.errors import InputError
from robench.measure.answers import (
    NO_ANSWER,
    area_under_levels,
    confusion_matrix,
    level_at_half_accuracy,
    response_entropy_bits,
)


def test_entropy_by_hand() -> None:
    assert response_entropy_bits([0, 1, 2, 3], 4) == 2.0
    assert response_entropy_bits([5] * 9, 16) == 0.0
    assert response_entropy_bits(np.repeat(np.arange(16), 10), 16) == pytest.approx(4.0)
    assert response_entropy_bits([0, 0, 0, 1], 2) == pytest.approx(
        -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    )


def test_the_two_definitions_differ_where_answers_are_missing() -> None:
    answers = [0, 0, 1, 1, NO_ANSWER, NO_ANSWER, NO_ANSWER, NO_ANSWER]
    assert response_entropy_bits(answers, 2) == 1.0
    assert response_entropy_bits(answers, 2, missing="counted") == pytest.approx(2 * 0.25 * 2)
    everyone = [0, 1, 1]
    dropped = response_entropy_bits(everyone, 2)
    assert dropped == pytest.approx(response_entropy_bits(everyone, 2, missing="counted"))
    assert response_entropy_bits([NO_ANSWER], 2) is None
    assert response_entropy_bits([NO_ANSWER], 2, missing="counted") is None


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_confusion_is_scikit_learns(trials: list[tuple[int, int]]) -> None:
    answers, labels = (list(column) for column in zip(*trials, strict=True))
    got = confusion_matrix(answers, labels, 5)
    given_answers = [(a, label) for a, label in trials if a != NO_ANSWER]
    assert got.sum() == len(given_answers)
    if given_answers:
        shown = [label for _, label in given_answers]
        want = confusion_of_sklearn(shown, [a for a, _ in given_answers], labels=range(5))
        assert (got == want).all()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_area_is_that_of_scikit_learn(accuracies: list[float]) -> None:
    places = np.linspace(0, 1, len(accuracies))
    assert area_under_levels(accuracies) == pytest.approx(auc(places, accuracies))


def test_level_at_half_accuracy_by_hand() -> None:
    # From 0.8 at level 2 to 0.2 at level 4, half of 1.0 lies midway.
    assert level_at_half_accuracy([0, 2, 4, 8], [1.0, 0.8, 0.2, 0.1]) == 3.0
    assert level_at_half_accuracy([1.0, 0.5, 0.1], [0.9, 0.9, 0.0]) == pytest.approx(0.3)
    # 0.9 halves to 0.45 exactly at the second level.
    assert level_at_half_accuracy([0, 1], [0.9, 0.45]) == 1.0
    # It counts when it is crossed first, though accuracy rises again.
    assert level_at_half_accuracy([0, 1, 2, 3], [1, 0, 1, 0]) == 0.5
    # Between infinity and 3, one over the level goes from 0 to 1/3: halfway is 1/6.
    assert level_at_half_accuracy([math.inf, 3.0], [1.0, 0.0]) == pytest.approx(6.0)
    assert level_at_half_accuracy([0, 1], [0.9, 0.8]) is None
    assert level_at_half_accuracy([0, 1], [0.0, 0.0]) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: response_entropy_bits([0, 2], 2), "up to 2 for 2 classes"),
        (lambda: response_entropy_bits([0.5], 2), "float64"),
        (lambda: response_entropy_bits([-2], 2), "answers of shape"),
        (lambda: confusion_matrix([0], [NO_ANSWER], 2), "labels of shape"),
        (lambda: confusion_matrix([0, 1], [0], 2), "2 answers for 1 labels"),
        (lambda: area_under_levels([0.5]), "1 levels"),
        (lambda: level_at_half_accuracy([1], [0.5, 0.5]), "2 accuracies for 1 levels"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

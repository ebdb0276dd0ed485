"""Calibration errors and proper scores, against worked examples and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from robench.errors import InputError
from robench.measure.calibration import (
    brier_scores,
    equal_mass,
    equal_width,
    log_losses,
    probabilities,
)


def drawn(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return 3 * generator.standard_normal((n, classes)), generator.integers(0, classes, n)


def test_a_worked_example() -> None:
    confidence = np.array([0.55, 0.6, 0.8, 0.95, 0.95])
    correct = np.array([False, True, True, True, False])
    # Of width: {0.55, 0.6} at 0.5 right, {0.8} at 1, {0.95, 0.95} at 0.5; 0.6 and 0.8 are bounds.
    want = (2 * abs(0.5 - 0.575) + 1 * 0.2 + 2 * 0.45) / 5
    found = equal_width(confidence, correct, 5)
    assert found.error == pytest.approx(want)
    assert found.count.tolist() == [0, 0, 2, 1, 2]
    assert np.isnan(found.accuracy[0])
    # Of mass, two bins: ranks 0.5, 1.5 | 2.5, and both equal ones at 4.
    halves = equal_mass(confidence, correct, 2)
    assert halves.count.tolist() == [2, 3]
    assert halves.error == pytest.approx((2 * 0.075 + 3 * abs(2 / 3 - 2.7 / 3)) / 5)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_equal_width_against_a_reliability_diagram_of_scikit_learn(bins: int) -> None:
    logits, labels = drawn(900, 2)
    sure = probabilities(logits)[:, 1]
    right = labels == 1
    found = equal_width(sure, right, bins)
    share, mean = calibration_curve(right, sure, n_bins=bins)
    filled = found.count > 0
    np.testing.assert_allclose(found.accuracy[filled], share)
    np.testing.assert_allclose(found.confidence[filled], mean)
    by_hand = (np.abs(share - mean) * found.count[filled]).sum() / 900
    assert found.error == pytest.approx(by_hand)


def test_equal_mass_is_that_of_sorted_answers_cut_into_equal_parts() -> None:
    generator = np.random.default_rng(1)
    confidence, correct = generator.random(600), generator.random(600) < 0.7
    parts = np.split(np.argsort(confidence), 15)
    want = np.mean([abs(correct[p].mean() - confidence[p].mean()) for p in parts])
    found = equal_mass(confidence, correct, 15)
    assert found.error == pytest.approx(want)
    assert set(found.count) == {40}


def test_scores_against_scikit_learn() -> None:
    logits, labels = drawn(300, 2)
    sure = probabilities(logits)
    assert brier_scores(logits, labels).mean() == pytest.approx(
        2 * brier_score_loss(labels, sure[:, 1])
    )
    logits, labels = drawn(300, 10)
    sure = probabilities(logits)
    assert log_losses(logits, labels).mean() == pytest.approx(log_loss(labels, sure))
    if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 7):
        several = brier_score_loss(labels, sure, labels=range(10))
        assert brier_scores(logits, labels).mean() == pytest.approx(several)


def test_a_calibrated_network_has_an_error_that_vanishes_with_the_number_of_answers() -> None:
    generator = np.random.default_rng(2)
    errors = {}
    for n in (1_000, 100_000):
        confidence = generator.uniform(0.1, 1, n)
        correct = generator.random(n) < confidence
        errors[n] = [bins(confidence, correct, 15).error for bins in (equal_width, equal_mass)]
    assert max(errors[100_000]) < 0.01
    assert min(errors[1_000]) > 0.01  # the bias that the documentation warns of


@pytest.mark.parametrize("bins", [equal_width, equal_mass])
def test_a_constant_network_errs_by_its_confidence_minus_its_accuracy(bins) -> None:
    correct = np.random.default_rng(3).random(500) < 0.3
    confidence = np.full(500, 0.9)
    assert bins(confidence, correct, 15).error == pytest.approx(0.9 - correct.mean())


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.booleans()), min_size=1),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_neither_depends_on_the_order_and_all_answers_count(answers, bins, random) -> None:
    shuffled = random.sample(answers, len(answers))
    for kind in (equal_width, equal_mass):
        first, second = (
            kind(np.array([c for c, _ in order]), np.array([r for _, r in order]), bins)
            for order in (answers, shuffled)
        )
        assert first.error == pytest.approx(second.error)
        assert first.count.sum() == len(answers)
        assert 0 <= first.error <= 1


def test_extreme_logits_stay_finite() -> None:
    logits, labels = np.array([[1e4, -1e4], [0.0, 0.0]], dtype=np.float32), np.array([1, 0])
    assert log_losses(logits, labels).tolist() == pytest.approx([2e4, np.log(2)])
    assert brier_scores(logits, labels).tolist() == pytest.approx([2, 0.5])


@pytest.mark.parametrize(
    ("confidence", "correct"), [([], []), ([0.5], []), ([1.5], [True]), ([np.nan], [True])]
)
def test_what_is_no_confidence_is_refused(confidence, correct) -> None:
    with pytest.raises(InputError):
        equal_width(np.array(confidence), np.array(correct, dtype=bool), 15)

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression

from robench.data import Data, load
from robench.data.assembly import assemble
from robench.data.splits import own_split
from robench.errors import NotApplicableError, UsageError
from robench.measure.boosting import boosted_trees, check_library, squared_error, targets_of
from robench.stages.declarations.trees import TreesOptions

FEW = TreesOptions(most_rounds=40)
LIBRARIES = [
    "scikit-learn",
    pytest.param(
        "lightgbm",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("lightgbm") is None, reason="needs the extra `gbt`"
        ),
    ),
]


def table(classes: int) -> Data:
    """Features of which two matter; the target is a bump that no line follows, or its class."""
    generator = np.random.default_rng(0)
    rows = generator.random((600, 4), dtype=np.float32)
    target = np.sin(6 * rows[:, 0].astype(float)) + 2 * (rows[:, 1] > 0.5)
    labels = np.searchsorted(np.quantile(target, np.arange(1, classes) / classes), target)
    return assemble(
        "bumps",
        classes=[f"part {number}" for number in range(classes)],
        inputs=rows,
        labels=labels.astype(np.int64) if classes else target,
        splits=own_split(labels.astype(np.int64), "bumps"),
    )


@pytest.fixture(scope="module")
def tumours() -> Data:
    return load("breast-cancer")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_regression_is_answered_better_than_by_a_line(library: str) -> None:
    data = table(classes=0)
    trees = boosted_trees(data, TreesOptions(library=library), seed=1)
    shown, targets = data.test.images.numpy(), targets_of(data, data.test)
    line = LinearRegression().fit(data.train.images.numpy(), data.train.labels.numpy())
    error = squared_error(trees.answer(shown), targets)
    assert error < 0.2 * squared_error(line.predict(shown)[:, None], targets)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_answered_with_probabilities(library: str, classes: int) -> None:
    data = table(classes)
    options = TreesOptions(library=library, most_rounds=40)
    answers = boosted_trees(data, options, seed=1).answer(data.test.images.numpy())
    assert answers.shape == (len(data.test), classes)
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    assert (answers.argmax(axis=1) == data.test.labels.numpy()).mean() > 0.9


@pytest.mark.parametrize("library", LIBRARIES)
def test_validation_chooses_the_rounds(library: str, tumours: Data) -> None:
    """Neither fewer rounds nor more of them answer the validation split better."""
    chosen = boosted_trees(tumours, TreesOptions(library=library, most_rounds=40), seed=3)
    shown, targets = tumours.validation.images.numpy(), targets_of(tumours, tumours.validation)
    error = squared_error(chosen.answer(shown), targets)
    for most in (1, 5, 20, chosen.rounds):
        fewer = boosted_trees(tumours, TreesOptions(library=library, most_rounds=most), seed=3)
        assert fewer.rounds <= most
        assert squared_error(fewer.answer(shown), targets) >= error - 1e-12


def test_the_trees_are_scikit_learns(tumours: Data) -> None:
    trees = boosted_trees(tumours, FEW, seed=11)
    by_hand = HistGradientBoostingClassifier(
        max_iter=trees.rounds, max_features=0.5, early_stopping=False, random_state=11
    ).fit(tumours.train.images.numpy(), tumours.train.labels.numpy())
    shown = tumours.test.images.numpy()
    np.testing.assert_allclose(trees.answer(shown), by_hand.predict_proba(shown))


def test_they_are_fitted_once_and_differ_by_seed(tumours: Data) -> None:
    first = boosted_trees(tumours, FEW, seed=1)
    assert boosted_trees(tumours, FEW, seed=1) is first
    shown = tumours.test.images.numpy()
    other = boosted_trees(tumours, FEW, seed=2).answer(shown)
    assert not np.array_equal(other, first.answer(shown))
    boosted_trees.cache_clear()
    again = boosted_trees(tumours, FEW, seed=1).answer(shown)
    np.testing.assert_array_equal(again, first.answer(shown))


def test_images_have_no_trees(digits: Data) -> None:
    with pytest.raises(NotApplicableError, match="tabular"):
        boosted_trees(digits, FEW, seed=0)


def test_a_library_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_library("scikit-learn")
    with pytest.raises(UsageError, match=r"robench\[gbt\]"):
        check_library("lightgbm")


def test_the_squared_error_of_probabilities_is_the_brier_score() -> None:
    answers = np.array([[0.8, 0.2], [0.4, 0.6]])
    targets = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert squared_error(answers, targets) == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)

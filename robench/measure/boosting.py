"""Gradient-boosted trees, the usual reference on tables (Friedman 2001).

Histogram-based, as scikit-learn or LightGBM (Ke et al. 2017) builds them; each split of a tree
chooses among half of the features, drawn with the seed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from robench.errors import NotApplicableError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.data.base import Data, Split
    from robench.measure.importance import Answer
    from robench.stages.declarations.trees import TreesOptions

__all__ = ["BoostedTrees", "boosted_trees", "check_library", "squared_error", "targets_of"]

_FEATURES_FOR_EACH_SPLIT = 0.5
_LEAST_ROWS_IN_LEAF = 20
_SEEDS = 2**31


@dataclass(frozen=True)
class BoostedTrees:
    """Fitted trees.

    Args:
        rounds: how many rounds of boosting the validation split chose.
        answer: class probabilities [N, classes], or standardised predictions [N, 1].
    """

    rounds: int
    answer: Answer


def check_library(library: str) -> None:
    """Refuse a library that is not installed.

    Raises:
        UsageError: LightGBM is asked for, and is not there.
    """
    if library == "lightgbm" and importlib.util.find_spec("lightgbm") is None:
        raise UsageError(
            "the library 'lightgbm' is not installed",
            allowed="scikit-learn, which always is",
            hint="`pip install 'robench[gbt]'`",
        )


@lru_cache(maxsize=8)
def boosted_trees(data: Data, options: TreesOptions, seed: int) -> BoostedTrees:
    """Trees for a table, fitted once a process for each data set, options and seed.

    They are fitted on the training split. The validation split chooses the number of rounds, by
    the squared error of the answers.

    Args:
        data: rows of features.
        options: library and size.
        seed: of the choice of features.

    Raises:
        NotApplicableError: the data are images.
        UsageError: the library is not installed.
    """
    if data.kind != "tabular":
        raise NotApplicableError(
            f"{data.name} has images: trees are a reference for tables", allowed="tabular data"
        )
    check_library(options.library)
    fit = _with_lightgbm if options.library == "lightgbm" else _with_scikit_learn
    with threadpool_limits(limits=1, user_api="openmp"):
        return fit(data, options, seed % _SEEDS)


def targets_of(data: Data, split: Split) -> NDArray[np.float64]:
    """What the answers should be: one-hot [N, classes], or the standardised target [N, 1]."""
    labels = split.labels.numpy()
    if data.task == "regression":
        return labels[:, None].astype(np.float64)
    targets: NDArray[np.float64] = np.eye(data.outputs)[labels]
    return targets


def squared_error(answers: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Squared distance of answers and targets, the mean over rows; of classes the Brier score."""
    return float(np.square(answers - targets).sum(axis=1).mean())


def _chosen_rounds(data: Data, staged: Iterator[NDArray[np.float64]]) -> int:
    """After which round, counted from 1, the validation split is answered best."""
    targets = targets_of(data, data.validation)
    return 1 + int(np.argmin([squared_error(answers, targets) for answers in staged]))


def _with_scikit_learn(data: Data, options: TreesOptions, seed: int) -> BoostedTrees:
    from sklearn import ensemble

    kind = f"HistGradientBoosting{'Classifier' if data.classes else 'Regressor'}"

    def fitted(rounds: int) -> Any:
        model = getattr(ensemble, kind)(
            max_iter=rounds,
            learning_rate=options.learning_rate,
            max_leaf_nodes=options.leaves,
            min_samples_leaf=_LEAST_ROWS_IN_LEAF,
            max_features=_FEATURES_FOR_EACH_SPLIT,
            early_stopping=False,
            random_state=seed,
        )
        return model.fit(data.train.images.numpy(), data.train.labels.numpy())

    how = "predict_proba" if data.classes else "predict"
    most = fitted(options.most_rounds)
    staged = getattr(most, f"staged_{how}")(data.validation.images.numpy())
    rounds = _chosen_rounds(data, (_answers(data, found, most) for found in staged))
    model = fitted(rounds)  # the same first trees again, without those that follow

    def answer(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        with threadpool_limits(limits=1, user_api="openmp"):
            return _answers(data, getattr(model, how)(rows), model)

    return BoostedTrees(rounds, answer)


def _answers(data: Data, found: NDArray[np.float64], model: Any) -> NDArray[np.float64]:
    """Two-dimensional, with a column for each class, also for one that no training row has."""
    if not data.classes:
        return found[:, None]
    answers = np.zeros((len(found), data.outputs))
    answers[:, model.classes_] = found
    return answers


def _with_lightgbm(data: Data, options: TreesOptions, seed: int) -> BoostedTrees:
    lightgbm = importlib.import_module("lightgbm")
    classes = len(data.classes)
    objective = {0: "regression", 2: "binary"}.get(classes, "multiclass")
    booster = lightgbm.train(
        {
            "objective": objective,
            **({"num_class": classes} if objective == "multiclass" else {}),
            "learning_rate": options.learning_rate,
            "num_leaves": options.leaves,
            "min_data_in_leaf": _LEAST_ROWS_IN_LEAF,
            "feature_fraction_bynode": _FEATURES_FOR_EACH_SPLIT,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        },
        lightgbm.Dataset(data.train.images.numpy(), data.train.labels.numpy()),
        num_boost_round=options.most_rounds,
    )

    def after(rounds: int) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
        def answer(rows: NDArray[np.float32]) -> NDArray[np.float64]:
            found = np.asarray(booster.predict(rows, num_iteration=rounds, num_threads=1))
            if objective == "binary":
                return np.column_stack([1 - found, found])
            return found if objective == "multiclass" else found[:, None]

        return answer

    shown = data.validation.images.numpy()
    grown = range(1, booster.current_iteration() + 1)
    rounds = _chosen_rounds(data, (after(count)(shown) for count in grown))
    return BoostedTrees(rounds, after(rounds))

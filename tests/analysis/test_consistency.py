from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

import robench
from robench.analysis.consistency import LEAST_TELLING, error_consistency
from robench.errors import InputError


def table(right: list[int], **columns: list[object]) -> dict[str, list[object]]:
    return {"image": list(range(len(right))), "correct": list(right), **columns}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=60))
def test_kappa_is_scikit_learns(trials: list[tuple[int, int]]) -> None:
    a, b = (list(column) for column in zip(*trials, strict=True))
    (row,) = error_consistency(table(a), table(b), condition=None, resamples=50).itertuples()
    assert row.n == len(trials)
    if len({*a, *b}) == 1:
        assert np.isnan(row.kappa)
    else:
        assert row.kappa == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)


def test_undefined_where_both_are_always_right_or_always_wrong() -> None:
    for right in (1, 0):
        found = error_consistency(table([right] * 9), table([right] * 9), condition=None)
        assert found[["observed", "expected"]].iloc[0].tolist() == [1, 1]
        assert found[["kappa", "low", "high"]].isna().all(axis=None)
    # One mistake on one side alone: agreement is what chance gives.
    (row,) = error_consistency(table([1] * 9), table([1] * 8 + [0]), condition=None).itertuples()
    assert row.kappa == 0


def test_one_shared_error_proves_nothing() -> None:
    """κ is 1 where all errors are shared, be it one: the percentile bootstrap gave [1, 1]."""
    right = [0] + [1] * 19
    (row,) = error_consistency(table(right), table(right), condition=None).itertuples()
    assert row.kappa == 1
    assert np.isnan([row.low, row.high]).all()
    right = [0] * LEAST_TELLING + [1] * 15
    (row,) = error_consistency(table(right), table(right), condition=None).itertuples()
    assert (row.kappa, row.high) == (1, 1)
    assert 0.3 < row.low < 0.9
    # As many right answers among wrong ones say as little.
    wrong = [1] + [0] * 19
    (row,) = error_consistency(table(wrong), table(wrong), condition=None).itertuples()
    assert np.isnan([row.low, row.high]).all()


def test_labels_of_the_same_image_must_agree() -> None:
    a = {"image": [1, 2], "answer": ["x", "y"], "label": ["x", "x"]}
    with pytest.raises(InputError, match="1 images have two true classes"):
        error_consistency(a, {**a, "label": ["x", "y"]}, condition=None)
    # Labels beside a column `correct` are compared, too; a table without labels compares as it is.
    correct = {"image": [1, 2], "correct": [1, 0]}
    with pytest.raises(InputError, match="two true classes"):
        error_consistency({**correct, "label": ["x", "x"]}, {**correct, "label": ["y", "y"]},
                          condition=None)  # fmt: skip
    assert len(error_consistency({**correct, "label": ["x", "x"]}, correct, condition=None)) == 1


def test_conditions_may_be_numbers_and_words() -> None:
    a = {"image": [1, 1, 1], "condition": ["clean", 0.5, 2], "correct": [1, 0, 1]}
    assert error_consistency(a, a)["condition"].tolist() == [0.5, 2, "clean"]
    with pytest.raises(InputError, match="no condition"):
        error_consistency({**a, "condition": ["clean", None, 2]}, a)


def test_conditions_order_of_rows_and_answers() -> None:
    a = pd.DataFrame(
        {
            "image": ["x", "y", "x", "y"],
            "condition": [10, 10, 2, 2],
            "answer": ["cat", None, "dog", "dog"],
            "label": ["cat", "dog", "cat", "dog"],
        }
    )
    b = a.iloc[::-1].assign(answer=["dog", "cat", "dog", "cat"])
    found = error_consistency(a, b, resamples=10)
    assert found["condition"].tolist() == [2, 10]
    assert found["n"].tolist() == [2, 2]
    assert found["accuracy_a"].tolist() == [0.5, 0.5]  # a missing answer is wrong
    assert found["accuracy_b"].tolist() == [1.0, 1.0]
    swapped = error_consistency(b, a, resamples=10)
    assert swapped["kappa"].tolist() == found["kappa"].tolist()


def test_the_same_seed_gives_the_same_interval() -> None:
    a, b = (table(4 * right) for right in ([1, 0, 1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 0, 1, 1, 1]))
    once = error_consistency(a, b, condition=None, seed=3)
    pd.testing.assert_frame_equal(once, error_consistency(a, b, condition=None, seed=3))
    assert once["low"].iloc[0] < once["kappa"].iloc[0] < once["high"].iloc[0]


def test_it_is_on_the_public_face() -> None:
    assert robench.error_consistency is error_consistency


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({"picture": [1]}, table([1]), "no column 'image'"),
        ({"image": [1], "answer": ["x"]}, table([1]), "no column 'label'"),
        (table([1, 2]), table([1, 1]), "more than true and false"),
        ({"image": [1, 1], "correct": [1, 0]}, table([1, 1]), "comes twice"),
        (table([1, 0, 1]), table([1, 0]), "1 of 3 trials are in one table alone"),
        (table([]), table([]), "no trials"),
    ],
)
def test_bad_tables(a, b, message: str) -> None:
    with pytest.raises(InputError, match=message):
        error_consistency(a, b, condition=None)


def test_bad_numbers() -> None:
    with pytest.raises(InputError, match=r"confidence 1\.5"):
        error_consistency(table([1]), table([1]), condition=None, confidence=1.5)


@pytest.mark.data
@pytest.mark.parametrize(
    "datasets", [("contrast", "high-pass"), pytest.param((), marks=pytest.mark.slow, id="all")]
)
def test_humans_of_model_vs_human(data_root, datasets: tuple[str, ...]) -> None:
    """All 85,120 trials: mean κ over pairs of observers, as computed from them by other code."""
    folder = data_root.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    trials = pd.read_parquet(folder / "model_vs_human_trials.parquet")
    assert len(trials) == 85_120
    want = pd.read_csv(folder / "model_vs_human_accuracy_kappa.csv")
    assert len(want) == 78
    if datasets:
        trials, want = (of[of["dataset"].isin(datasets)] for of in (trials, want))
    trials = trials.copy()
    # Running number and experiment differ between observers; what follows names the image.
    trials["image"] = trials["imagename"].str.split("_", n=3).str[3]
    found = [
        error_consistency(
            of[of["subj"] == one],
            of[of["subj"] == other],
            answer="object_response",
            label="category",
            resamples=2,
        ).assign(dataset=name)
        for name, of in trials.groupby("dataset", observed=True)
        for one, other in itertools.combinations(sorted(of["subj"].unique()), 2)
    ]
    kappa = pd.concat(found).groupby(["dataset", "condition"])["kappa"].agg(["mean", "size"])
    want = want.set_index(["dataset", "condition"])
    assert len(want) == len(kappa)
    aligned = kappa.loc[want.index]
    assert (aligned["size"] == want["pairs"]).all()
    np.testing.assert_allclose(aligned["mean"], want["human_human_kappa"], rtol=0, atol=1e-5)

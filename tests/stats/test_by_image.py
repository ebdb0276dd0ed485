from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from robench.errors import InputError
from robench.spec import Cell, Record
from robench.stats.by_image import difference_by_image, trials


def answers(right: list[int], condition: str = "noise 1") -> pd.DataFrame:
    """Trials of which these are right."""
    return pd.DataFrame(
        {
            "image": range(len(right)),
            "condition": condition,
            "label": 3,
            "answer": np.where(right, 3, 5),
        }
    )


def test_mcnemar_and_the_difference_by_hand() -> None:
    a = answers([1] * 10 + [1] * 6 + [0] * 4)
    b = answers([1] * 10 + [0] * 6 + [1] * 1 + [0] * 3)
    [row] = difference_by_image(a, b.sample(frac=1, random_state=0)).to_dict("records")
    assert (row["n"], row["a_alone"], row["b_alone"]) == (20, 6, 1)
    assert row["difference"] == pytest.approx(0.25)
    # Two-sided: at most one of seven coins, or at least six.
    assert row["p"] == pytest.approx(2 * binom.cdf(1, 7, 0.5))
    assert row["low"] < row["difference"] < row["high"]


def test_the_interval_is_that_of_a_bootstrap_over_images() -> None:
    generator = np.random.default_rng(1)
    a, b = (
        answers(list(generator.integers(0, 2, 300))),
        answers(list(generator.integers(0, 2, 300))),
    )
    [row] = difference_by_image(a, b).to_dict("records")
    change = (a["answer"] == 3).to_numpy(float) - (b["answer"] == 3).to_numpy(float)
    drawn = change[generator.integers(0, 300, (4000, 300))].mean(axis=1)
    assert [row["low"], row["high"]] == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.012
    )


def test_networks_that_are_right_on_the_same_images_do_not_differ() -> None:
    [row] = difference_by_image(answers([1, 0, 1]), answers([1, 0, 1])).to_dict("records")
    assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)


def test_conditions_stand_for_themselves_and_what_one_alone_saw_is_left_out() -> None:
    a = pd.concat([answers([1, 1]), answers([1, 0, 0], "noise 2")])
    b = pd.concat([answers([0, 1]), answers([0, 0], "noise 2"), answers([1], "noise 3")])
    found = difference_by_image(a, b).set_index("condition")
    assert found["n"].to_dict() == {"noise 1": 2, "noise 2": 2}
    assert found["difference"].to_dict() == {"noise 1": 0.5, "noise 2": 0.5}


def test_bad_trials_are_named() -> None:
    with pytest.raises(InputError, match="twice"):
        difference_by_image(pd.concat([answers([1]), answers([0])]), answers([1]))
    with pytest.raises(InputError, match="in common"):
        difference_by_image(answers([1]), answers([1], "noise 2"))


def test_a_record_and_its_arrays_become_trials(make_cell) -> None:
    cell: Cell = make_cell(stage="degrade")
    record = Record(
        id=cell.id, cell=cell, status="ok", details={"conditions": ["noise 0", "noise 1"]}
    )
    arrays = {
        "index": np.array([7, 4]),
        "label": np.array([1, 2]),
        "answers": np.array([[1, 2], [0, 2]], dtype=np.int16),
    }
    found = trials(record, arrays)
    assert found.to_numpy().tolist() == [
        [7, "noise 0", 1, 1],
        [4, "noise 0", 2, 2],
        [7, "noise 1", 1, 0],
        [4, "noise 1", 2, 2],
    ]
    [_, worse] = difference_by_image(found, found.assign(answer=0)).to_dict("records")
    assert worse["difference"] == 0.5


def test_a_record_without_answers_is_refused(make_cell) -> None:
    cell = make_cell(stage="speed")
    with pytest.raises(InputError, match="kept no answers"):
        trials(Record(id=cell.id, cell=cell, status="ok"), {})

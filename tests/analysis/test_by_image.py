from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from robench.analysis.by_image import difference_by_image, trials
from robench.errors import InputError
from robench.spec import Cell, Record
from robench.stats.intervals import tango_interval


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


def test_tangos_published_example() -> None:
    """Airway hyper-responsiveness (Bentur et al. 2009) as in Fagerland et al. 2014, table IV."""
    a = answers([1] + [1] + [0] * 7 + [0] * 12)
    b = answers([1] + [0] + [1] * 7 + [0] * 12)
    [row] = difference_by_image(a, b).to_dict("records")
    assert (row["n"], row["a_alone"], row["b_alone"]) == (21, 1, 7)
    # The exact test does not reject, so that the interval is drawn out from -0.026 to 0.
    assert row["p"] == pytest.approx(0.0703, abs=1e-4)
    assert (row["low"], row["high"]) == (pytest.approx(-0.517, abs=5e-4), 0)
    assert tango_interval(1, 7, 21)[1] == pytest.approx(-0.026, abs=5e-4)


def test_the_score_interval_by_maximising_the_likelihood() -> None:
    """Tango's bounds from their definition, with the constrained likelihood maximised by scipy."""
    first, second, n = 9, 3, 40
    for bound in (float(end) for end in tango_interval(first, second, n)):

        def loss(only_second: float, delta: float = bound) -> float:
            rest = 1 - delta - 2 * only_second
            shares = np.array([only_second + delta, only_second, rest])
            return -float(np.array([first, second, n - first - second]) @ np.log(shares))

        ends = (max(0, -bound) + 1e-9, (1 - bound) / 2 - 1e-9)
        best = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-10}).x
        variance = (2 * best + bound - bound**2) / n
        z = ((first - second) / n - bound) / math.sqrt(variance)
        assert abs(z) == pytest.approx(1.959964, abs=1e-4)


@pytest.mark.parametrize("n", [20, 1000])
def test_networks_that_are_right_on_the_same_images_may_still_differ(n: int) -> None:
    [row] = difference_by_image(answers([1] * n), answers([1] * n)).to_dict("records")
    assert (row["difference"], row["p"]) == (0, 1)
    # At 0 : 0 the constrained estimate is that one alone differs: n d² = z² d (1 − d).
    z2 = 1.959964**2
    assert row["high"] == pytest.approx(z2 / (n + z2), rel=1e-4)
    assert row["low"] == -row["high"]


def test_a_handful_of_trials_decides_nothing() -> None:
    [row] = difference_by_image(answers([1] * 100), answers([0] * 4 + [1] * 96)).to_dict("records")
    assert row["p"] == 0.125
    assert (row["low"], row["high"]) == (0, pytest.approx(0.0984, abs=1e-3))


def test_conditions_stand_for_themselves_and_what_one_alone_saw_is_counted() -> None:
    a = pd.concat([answers([1, 1]), answers([1, 0, 0], "noise 2")])
    b = pd.concat([answers([0, 1]), answers([0, 0], "noise 2"), answers([1], "noise 3")])
    found = difference_by_image(a, b).set_index("condition")
    assert found["n"].to_dict() == {"noise 1": 2, "noise 2": 2, "noise 3": 0}
    assert found["left_out"].to_dict() == {"noise 1": 0, "noise 2": 1, "noise 3": 1}
    assert found["difference"].tolist() == pytest.approx([0.5, 0.5, math.nan], nan_ok=True)
    assert found.loc["noise 3", ["low", "high", "p"]].isna().all()


def test_tables_with_opposite_labels_are_refused() -> None:
    a, b = answers([1, 0, 1]), answers([1, 0, 1])
    with pytest.raises(InputError, match="two true classes") as caught:
        difference_by_image(a, b.assign(label=[3, 3, 4], answer=[3, 5, 4]))
    assert "the image 2, 3 in table a and 4 in table b" in str(caught.value)
    # Within one table, too: of the same image in two conditions.
    with pytest.raises(InputError, match="two true classes"):
        difference_by_image(pd.concat([a, a.assign(condition="noise 2", label=4)]), b)


def test_other_types_of_the_same_trials() -> None:
    a, b = answers([1, 1, 0, 1]), answers([0, 1, 0, 1])
    [expected] = difference_by_image(a, b).to_dict("records")
    for change in (
        {"image": b["image"].astype("int8")},
        {"image": b["image"].astype("float64")},
        {"label": b["label"].astype("category"), "answer": b["answer"].astype("category")},
        {"answer": b["answer"].astype("Int64")},
    ):
        assert difference_by_image(a, b.assign(**change)).to_dict("records") == [expected]
    missing = b.assign(answer=b["answer"].astype("Int64").where(b["image"] != 1))
    [row] = difference_by_image(a, missing).to_dict("records")
    assert (row["a_alone"], row["b_alone"]) == (2, 0)  # a missing answer is wrong


def test_bad_trials_are_named() -> None:
    with pytest.raises(InputError, match="twice"):
        difference_by_image(pd.concat([answers([1]), answers([0])]), answers([1]))
    with pytest.raises(InputError, match="in common"):
        difference_by_image(answers([1]), answers([1], "noise 2"))
    with pytest.raises(InputError, match="no column 'image'"):
        difference_by_image(answers([1]).rename(columns={"image": "picture"}), answers([1]))
    for column, message in (
        ("image", "no image"),
        ("condition", "no condition"),
        ("label", "no t"),
    ):
        with pytest.raises(InputError, match=message):
            difference_by_image(answers([1]), answers([1]).assign(**{column: None}))
    with pytest.raises(InputError, match="no trials"):
        difference_by_image(answers([]), answers([1]))
    with pytest.raises(InputError, match="confidence"):
        difference_by_image(answers([1]), answers([1]), confidence=95)


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

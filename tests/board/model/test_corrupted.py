"""Corruption errors against the dense control, and the views of corruptions and of humans."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from robench.board.model.corrupted import corruption_errors
from robench.board.model.leaderboard import leaderboard
from robench.board.views.corruptions import Corruptions
from robench.board.views.degradations import Degradations
from robench.board.views.responses import Responses
from robench.reference.humans import published_accuracies
from robench.spec import Metric, PluginRef, Record

ORIGIN = "generated, constants of CIFAR-10-C"
ERRORS = {"fog": 0.2, "contrast": 0.1}
NETWORK = (PluginRef(name="mlp", version=1),)


@pytest.fixture
def corrupted(make: Callable[..., list[Record]]) -> Callable[..., list[Record]]:
    """Records whose dense networks err on 20 % and 10 %, and all others on twice as many."""

    def maker(data: str = "digits", **grid: object) -> list[Record]:
        records = make(
            data=(data,), models=NETWORK, levels=(0.9,), distortions=(), mishaps=False,
            stages=("train", "degrade"), **grid,
        )  # fmt: skip
        return records + [_of(r) for r in records if _is_network(r)]

    return maker


def _is_network(record: Record) -> bool:
    return record.cell.stage == "train" and record.cell.role == "result"


def _of(train: Record) -> Record:
    worse = 1 if train.cell.method.name == "dense" else 2
    metrics = [Metric.share("accuracy_clean", 1000 - 50 * worse, 1000)]
    for kind, error in ERRORS.items():
        for severity in (1, 2):
            correct = round(1000 * (1 - worse * error * (0.5 + 0.5 * severity) / 1.25))
            condition = {"kind": kind, "severity": float(severity), "images": ORIGIN}
            metrics.append(Metric.share("accuracy", correct, 1000, **condition))
    cell = train.cell.model_copy(
        update={"stage": "corrupt", "parent": train.id, "options": {"samples": 1000}}
    )
    return train.model_copy(update={"id": cell.id, "cell": cell, "metrics": tuple(metrics)})


def test_errors_against_the_dense_network_of_the_seed(corrupted) -> None:
    board = leaderboard(corrupted(seeds=2))
    errors = corruption_errors(board.frame).set_index(["method", "seed"])["value"]
    assert len(errors) == 2 * len(board.methods)
    for (method, _), ratio in errors.items():
        assert ratio == pytest.approx(1 if method == "dense" else 2)
    by_method = {row.method: row for row in board.rows}
    assert by_method["ssl"].corruption_error.value == pytest.approx(2)
    assert by_method["ssl"].corruption_error.seeds == 2


def test_a_dense_network_that_hardly_errs_is_no_measure(corrupted, monkeypatch) -> None:
    monkeypatch.setattr(
        "tests.board.model.test_corrupted.ERRORS", {"fog": 0.004, "contrast": 0.002}
    )
    found = corruption_errors(leaderboard(corrupted(seeds=1)).frame).set_index("method")
    # 1,000 images with 3 and 4, and 2 and 2 of them wrong: 11 errors.
    assert found["value"].isna().all()
    assert found[["low", "high"]].isna().all(axis=None)


def test_the_interval_compares_image_by_image_where_answers_are_there(corrupted) -> None:
    board = leaderboard(corrupted(seeds=2))
    apart = corruption_errors(board.frame).set_index(["method", "seed"])
    ids = board.frame[board.frame["stage"] == "corrupt"].set_index("id")["method"]
    label, order = np.zeros(1000, dtype=int), np.arange(1000)

    def arrays(cell_id: str, _only: object = None) -> dict[str, np.ndarray]:
        # The images that dense gets wrong are among those of the others.
        worse = 1 if ids[cell_id].iloc[0] == "dense" else 2
        wrong = [round(1000 * worse * of * step) for of in ERRORS.values() for step in (0.8, 1.2)]
        answers = np.array([order < count for count in wrong], dtype=np.int16)
        return {"index": order, "label": label, "answers": answers}

    paired = corruption_errors(board.frame, arrays).set_index(["method", "seed"])
    row, other = paired.loc[("ssl", 0)], apart.loc[("ssl", 0)]
    assert row["value"] == pytest.approx(other["value"]) == pytest.approx(2)
    assert other["low"] < row["low"] < 2 < row["high"] < other["high"]

    # A control on other images is compared by its sums.
    def moved(cell_id: str, only: object = None) -> dict[str, np.ndarray]:
        shift = 1 if ids[cell_id].iloc[0] == "dense" else 0
        return {**arrays(cell_id, only), "index": order + shift}

    pd.testing.assert_frame_equal(
        corruption_errors(board.frame, moved).reset_index(drop=True),
        corruption_errors(board.frame).reset_index(drop=True),
    )


def test_without_a_dense_control_there_is_no_figure(corrupted) -> None:
    records = [r for r in corrupted(seeds=1) if r.cell.method.name != "dense"]
    assert corruption_errors(leaderboard(records).frame).empty


def test_the_view_says_where_the_images_come_from(corrupted, make) -> None:
    view = Corruptions().draw(leaderboard(corrupted(seeds=1)))
    assert view.key == "corruptions"
    assert ORIGIN in view.reading
    assert [plot.name for plot in view.plots] == ["corruptions-1-digits-mlp"]
    text = json.dumps(view.spec)
    assert "fog" in text
    assert "contrast" in text
    plain = make(data=("digits",), models=NETWORK, levels=(0.9,), seeds=1, distortions=())
    assert Corruptions().draw(leaderboard(plain)) is None


def human_rows(view) -> list[str]:
    lines = json.dumps(view.spec).replace("\\n", "\n").splitlines()
    return [line for line in lines if line.startswith("0,-1,-1,-1,")]


def test_humans_are_drawn_where_they_compare_and_nowhere_else(corrupted) -> None:
    def degradations(data: str):
        return Degradations().draw(leaderboard(corrupted(data, seeds=1)))

    elsewhere = degradations("digits")
    assert not human_rows(elsewhere)
    assert "No humans are drawn" in elsewhere.reading
    comparable = degradations("16-class-imagenet")
    rows = human_rows(comparable)
    assert "0,-1,-1,-1,contrast,05|0.05,0.54583,,,,,,0" in rows
    assert sum(row.endswith(",1") for row in rows) == 6  # one name for each kind with a curve
    assert "CC BY 4.0" in comparable.reading
    assert not any("salt-and-pepper" in row for row in rows)


def test_corruptions_are_beside_no_humans(corrupted) -> None:
    # The contrast of a corruption is no level of the degradation of that name.
    view = Corruptions().draw(leaderboard(corrupted("16-class-imagenet", seeds=1)))
    assert not human_rows(view)


def test_how_evenly_networks_and_humans_answer(corrupted, make) -> None:
    view = Responses().draw(leaderboard(corrupted("16-class-imagenet", seeds=1)))
    assert view.key == "responses"
    (row,) = (row for row in human_rows(view) if ",contrast,05|0.05," in row)
    published = published_accuracies()
    is_row = (published["experiment"] == "contrast-png") & (published["system"] == "humans")
    expected = published[is_row & (published["level"] == 0.05)]["entropy_bits"].item()
    assert float(row.split(",")[6]) == pytest.approx(expected, abs=1e-4)
    assert [plot.name for plot in view.plots] == ["responses-1-16-class-imagenet-mlp"]
    assert not human_rows(Responses().draw(leaderboard(corrupted(seeds=1))))
    unasked = make(
        data=("digits",), models=NETWORK, levels=(0.9,), seeds=1, stages=("train",),
        distortions=(), mishaps=False,
    )  # fmt: skip
    assert Responses().draw(leaderboard(unasked)) is None


def test_the_picture_of_the_levels(corrupted) -> None:
    view = Degradations().draw(leaderboard(corrupted(seeds=1)))
    assert view.picture.startswith("<svg")
    assert "low-pass" in view.picture

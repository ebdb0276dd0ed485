"""Transfer on the board: which cells are own, which order they stand in, what sparsity took."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
import vl_convert

from robench.board.charts.base import chosen
from robench.board.charts.drawing import Drawing
from robench.board.charts.heat_map import in_test_order, in_training_order
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.render.scripts import vega_lite_version
from robench.board.views.gap import Gap
from robench.board.views.sparse_transfer import SparseTransfer
from robench.board.views.transfer import Transfer
from robench.spec import Cell, Distortion, Metric, PluginRef, Recipe, Record

UNIFORM, SALT = "uniform-noise", "salt-and-pepper"
PAIR = Distortion(kinds=(UNIFORM, SALT))
ALL_BUT = Distortion.model_validate({"kind": f"all-but:{SALT}"})
SHARED = Distortion(kinds=(SALT,), clean_share=0.5)
TRAININGS = (None, Distortion(kinds=(UNIFORM,)), SHARED, PAIR, ALL_BUT)


def accuracy(training: Distortion | None, kind: str, method: str, level: float) -> float:
    """0.9 on own noise and 0.5 on others; half of what is sparse loses a tenth, on others two."""
    is_own = training is not None and kind in training.kinds
    lost = {"dense": 0.0, "random": 0.1}.get(method, 0.02) * level * (1 if is_own else 2)
    return (0.9 if is_own else 0.5) - lost


def records() -> list[Record]:
    found = []
    grid = [
        ("dense", 0.0),
        ("random", 0.5),
        ("random", 0.9),
        ("magnitude", 0.5),
        ("magnitude", 0.9),
    ]
    for training in TRAININGS:
        for method, level in grid:
            for seed in range(3):
                train = Cell(
                    stage="train",
                    suite="trial",
                    suite_version=1,
                    data=PluginRef(name="digits", version=1),
                    data_sha256="0",
                    model=PluginRef(name="mlp", version=1),
                    method=PluginRef(name=method, version=1),
                    level=level,
                    seed=seed,
                    recipe=Recipe(distortion=training),
                )
                degrade = train.model_copy(update={"stage": "degrade", "parent": train.id})
                metrics = [
                    Metric(
                        name="accuracy",
                        value=accuracy(training, kind, method, level) + shift + seed / 1000,
                        condition={"kind": kind, "test_level": test_level},
                    )
                    for kind, at in (
                        (UNIFORM, 0.35),
                        (SALT, 0.2),
                        ("contrast", 0.05),
                        ("haze", 1.0),
                    )
                    for test_level, shift in ((at, 0.0), (at / 2, 0.04))
                ]
                clean = Metric.share("accuracy", 95, 100)
                for cell, of in ((train, [clean]), (degrade, metrics)):
                    found.append(Record(id=cell.id, cell=cell, status="ok", metrics=tuple(of)))
    return found


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    return leaderboard(records())


@pytest.fixture(scope="module")
def views(board: Leaderboard) -> dict[str, Drawing]:
    drawn = [view.draw(board) for view in (Transfer(), SparseTransfer(), Gap())]
    return {view.key: view for view in drawn if view is not None}


def rows_of(view: Drawing) -> list[dict[str, str]]:
    assert view.spec is not None
    spec = view.spec
    [text] = spec["datasets"].values() if "datasets" in spec else [spec["data"]["values"]]
    return list(csv.DictReader(io.StringIO(text)))


def svg_of(spec: dict[str, Any]) -> str:
    return str(vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version()))


def test_each_kind_of_a_list_is_own_and_clean_where_some_images_stay_so(
    views: dict[str, Drawing],
) -> None:
    own: dict[str, set[str]] = {}
    for row in rows_of(views["transfer"]):
        if row["own"] == "1":
            own.setdefault(row["training"], set()).add(row["test"])
    assert own == {
        "clean images": {"clean"},
        UNIFORM: {UNIFORM},
        SHARED.label: {SALT, "clean"},
        PAIR.label: {UNIFORM, SALT},
        "all but salt-and-pepper": {"clean", "contrast", UNIFORM},
    }


def test_one_level_or_the_mean_of_all(views: dict[str, Drawing]) -> None:
    def value(at: str) -> list[float]:
        return [
            float(row["value"])
            for row in rows_of(views["transfer"])
            if (row["at"], row["training"], row["test"], row["level"])
            == (at, UNIFORM, UNIFORM, "-1")
        ]

    assert value("0") == pytest.approx([0.921])
    assert value("1") == pytest.approx([0.901])
    tests = {row["test"] for row in rows_of(views["transfer"]) if row["at"] == "1"}
    assert "haze" not in tests  # it has no published level


def test_the_reader_chooses_the_level_that_is_tested(views: dict[str, Drawing]) -> None:
    spec = views["transfer"].spec
    assert spec is not None
    assert ">92</text>" in svg_of(spec)
    assert ">92</text>" not in svg_of(chosen(spec, chosen_at=1))


def test_rows_and_columns_stand_in_the_order_of_the_paper() -> None:
    trainings = {t.label if t else "none": t for t in reversed(TRAININGS)}
    assert in_training_order(trainings) == [
        "none",
        SHARED.label,
        UNIFORM,
        PAIR.label,
        "all but salt-and-pepper",
    ]
    assert in_test_order(["haze", UNIFORM, "contrast", "clean", "eidolon-1"]) == [
        "clean",
        "contrast",
        UNIFORM,
        "eidolon-1",
        "haze",
    ]


def test_the_published_matrix_stands_apart(views: dict[str, Drawing]) -> None:
    view = views["transfer"]
    assert view.picture is not None
    assert view.picture_open
    assert "ResNet-50" in view.picture
    published = set(re.findall(r'<rect [^>]*fill="(#\w+)"', view.picture))
    assert published
    assert not published & set(re.findall(r'fill="(#\w+)"', svg_of(view.spec)))


def test_differences_are_those_from_the_dense_control_of_the_seed(
    views: dict[str, Drawing],
) -> None:
    found = {
        (row["m"], row["level"], row["training"], row["test"]): row
        for row in rows_of(views["sparse-transfer"])
    }
    assert {row["m"] for row in found.values()} == {"1", "2"}  # random and magnitude
    own, other = (found["1", "0.9", UNIFORM, test] for test in (UNIFORM, SALT))
    assert float(own["value"]) == pytest.approx(-0.09)
    assert float(other["value"]) == pytest.approx(-0.18)
    # All seeds lose the same, so that the interval leaves out zero and the cell has a frame.
    assert float(other["high"]) < 0
    svg = svg_of(views["sparse-transfer"].spec)
    shown = [row for row in found.values() if row["level"] == "0.9" and float(row["high"]) < 0]
    assert svg.count('stroke="#10151c"') == len(shown)
    assert ">−18</text>" in svg


def test_lines_begin_at_the_dense_network_of_each_method(views: dict[str, Drawing]) -> None:
    rows = [row for row in rows_of(views["gap"]) if row["training"] == UNIFORM]
    steps = {(row["m"], row["step"].partition("|")[2]) for row in rows if row["side"] == "own"}
    assert steps == {(m, step) for m in "12" for step in ("dense", "50%", "90%")}
    [others] = [
        row
        for row in rows
        if (row["m"], row["side"], row["step"].partition("|")[2]) == ("1", "others", "90%")
    ]
    assert float(others["value"]) == pytest.approx(0.5 - 0.18 + 0.02 + 0.001)
    trainings = {row["training"] for row in rows_of(views["gap"])}
    assert trainings == {UNIFORM, SHARED.label, PAIR.label, "all but salt-and-pepper"}


def test_every_plot_can_be_drawn(views: dict[str, Drawing]) -> None:
    for view in views.values():
        assert [plot.name for plot in view.plots] == [f"{view.key}-1-digits-mlp"]
        for plot in view.plots:
            assert "<svg" in svg_of(plot.spec)


def test_without_sparse_networks_there_is_the_matrix_alone(
    make: Callable[..., list[Record]],
) -> None:
    dense = leaderboard([record for record in records() if record.cell.method.name == "dense"])
    assert Transfer().draw(dense).spec is not None
    assert SparseTransfer().draw(dense) is None
    assert Gap().draw(dense) is None
    clean = leaderboard(make(data=("digits",), levels=(0.9,), distortions=(), seeds=1))
    assert Transfer().draw(clean).spec is None
    assert SparseTransfer().draw(clean) is None
    assert Gap().draw(clean) is None


def test_scores_stand_beside_that_of_less_contrast_alone(board: Leaderboard) -> None:
    """Of the networks above none saw contrast alone; with one, its share stands beside."""
    for control, heads in ((False, "by contrast alone"), (True, "by contrast (0.3)")):
        known = [*board.records, *(less_contrast() if control else ())]
        view = Transfer().draw(leaderboard(known))
        assert "less contrast alone" in view.reading
        for table in view.tables:
            assert table.heads == ("trained on", "tested on", "by this training", heads)
            for training, test, _, share in table.rows:
                assert training.text != test.text
                assert (share.text == "–") == (not control)
        assert view.tables


def less_contrast() -> list[Record]:
    """The networks that were trained on uniform noise, said to have seen 30 % contrast."""
    distortion = Distortion(kinds=("contrast",), levels=(0.3,))
    found = []
    for record in records():
        if record.cell.recipe.distortion is None or record.cell.recipe.distortion.label != UNIFORM:
            continue
        recipe = record.cell.recipe.model_copy(update={"distortion": distortion})
        cell = record.cell.model_copy(update={"recipe": recipe})
        found.append(record.model_copy(update={"id": cell.id, "cell": cell}))
    trains = {record.cell.seed: record.id for record in found if record.cell.stage == "train"}
    for place, record in enumerate(found):
        if record.cell.stage != "train":
            cell = record.cell.model_copy(update={"parent": trains[record.cell.seed]})
            found[place] = record.model_copy(update={"id": cell.id, "cell": cell})
    return found

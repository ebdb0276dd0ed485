from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
import vl_convert

from robench.board.charts.base import chosen
from robench.board.charts.drawing import Drawing
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.render.scripts import vega_lite_version
from robench.board.views import views_of
from robench.board.views.distance import Distance
from robench.spec import PluginRef, Record

Make = Callable[..., list[Record]]


def spec_of(views: dict[str, Drawing], key: str) -> dict[str, Any]:
    spec = views[key].spec
    assert spec is not None
    return spec


def rows_of(spec: dict[str, Any]) -> list[dict[str, str]]:
    [text] = spec["datasets"].values() if "datasets" in spec else [spec["data"]["values"]]
    return list(csv.DictReader(io.StringIO(text)))


def svg_of(spec: dict[str, Any]) -> str:
    return str(vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version()))


def points(svg: str) -> int:
    return svg.count('aria-roledescription="point"')


def test_the_questions_in_their_order(views: dict[str, Drawing]) -> None:
    assert list(views) == [
        *("accuracy", "distance", "curves", "parents", "attacks"),
        *("degradations", "responses", "transfer", "sparse-transfer", "gap", "speed"),
    ]
    drawn = [view for key, view in views.items() if key not in ("parents", "attacks")]
    assert all(view.spec is not None and view.plots for view in drawn)


def test_points_stand_at_the_achieved_sparsity(
    views: dict[str, Drawing], board: Leaderboard
) -> None:
    drawn = rows_of(spec_of(views, "accuracy"))
    rows = [row for row in board.rows if row.training == "none" and row.accuracy]
    assert len(drawn) == len(rows)
    ssl = [row for row in drawn if row["method"] == "ssl" and row["level"] == "0.9"]
    assert {row["remaining"] for row in ssl} == {"0.096"}  # it overshoots, to 90.4%


def test_the_dense_control_is_a_line_with_its_name(views: dict[str, Drawing]) -> None:
    spec = spec_of(views, "accuracy")
    svg = svg_of(spec)
    labels = {row["label"] for row in rows_of(spec) if row["method"] == "dense"}
    assert labels
    assert all(label in svg for label in labels)
    graded = [row for row in rows_of(spec) if row["method"] != "dense"]
    assert points(svg) == len(graded)


def test_wide_intervals_are_cut_and_told_whole(records: list[Record]) -> None:
    def wild(record: Record) -> Record:
        cell = record.cell
        if (cell.stage, cell.method.name, cell.level) != ("attack", "halo", 0.9):
            return record
        metrics = tuple(
            metric.model_copy(update={"value": 0.01 + cell.seed % 2})
            if metric.name == "median_l2"
            else metric
            for metric in record.metrics
        )
        return record.model_copy(update={"metrics": metrics})

    clean = [r for r in records if r.cell.model.name == "mlp" and not r.cell.recipe.distortion]
    spec = Distance().draw(leaderboard(map(wild, clean))).spec
    assert spec is not None
    drawn = rows_of(spec)
    values = [float(row["value"]) for row in drawn if row["panel"] == "digits · mlp"]
    [row] = [
        row
        for row in drawn
        if (row["panel"], row["method"], row["level"]) == ("digits · mlp", "halo", "0.9")
    ]
    assert float(row["high"]) == pytest.approx(
        max(values) + 0.2 * (max(values) - min(values)), 1e-3
    )
    assert row["text"].startswith("0.34 [0.00, 1.97]")


def test_points_that_flatter_have_a_ring(views: dict[str, Drawing]) -> None:
    """Those whose attack raised a flag, and networks that err far more often than the dense."""
    spec = spec_of(views, "distance")
    flagged = [row for row in rows_of(spec) if row["flagged"] == "1"]
    told = {(row["method"], remark) for row in flagged for remark in row["flags"].split("; ")}
    assert {method for method, remark in told if remark.startswith("gradient-zero")} == {"halo"}
    assert ("random", "accuracy far below dense") in told
    assert "dense" not in {method for method, _ in told}
    assert svg_of(spec).count("#f76707") == len(flagged)


def test_steps_run_from_mild_to_strong(views: dict[str, Drawing]) -> None:
    steps: dict[str, list[str]] = {}
    for row in rows_of(spec_of(views, "degradations")):
        steps.setdefault(row["kind"], []).append(row["step"])
    assert sorted(set(steps["high-pass"]))[:3] == ["00|∞", "01|3", "02|1.5"]
    assert max(steps["contrast"]) == "07|0.01"


def test_the_reader_chooses_the_level(views: dict[str, Drawing], board: Leaderboard) -> None:
    spec = spec_of(views, "degradations")
    kept = [
        row
        for row in rows_of(spec)
        if row["panel"] == "0" and row["training"] == "0" and row["level"] in ("0.99", "-1")
    ]
    assert points(svg_of(chosen(spec, chosen_level=0.99))) == len(kept)
    assert {control.parameter for control in views["degradations"].controls} == {
        "chosen_panel",
        "chosen_level",
        "chosen_training",
    }


def test_the_reader_switches_methods_off(views: dict[str, Drawing]) -> None:
    spec = spec_of(views, "accuracy")
    without = {**spec, "params": [{"name": "hidden_methods", "value": ["halo"]}]}
    halo = [row for row in rows_of(spec) if row["method"] == "halo"]
    assert points(svg_of(spec)) - points(svg_of(without)) == len(halo)


def test_the_heat_map_knows_which_noise_a_network_was_trained_on(
    views: dict[str, Drawing], board: Leaderboard
) -> None:
    rows = rows_of(spec_of(views, "transfer"))
    own = {(row["training"], row["test"]) for row in rows if row["own"] == "1"}
    assert own == {
        ("clean images", "clean"),
        ("salt-and-pepper", "salt-and-pepper"),
        ("uniform-noise", "uniform-noise"),
    }
    svg = svg_of(spec_of(views, "transfer"))
    dense = str(board.methods.index("dense"))
    [cell] = [
        row
        for row in rows
        if (row["m"], row["training"], row["test"]) == (dense, "uniform-noise", "contrast")
        and (row["level"], row["at"]) == ("-1", "0")
        and row["panel"] == str(board.panels.index("digits · mlp"))
    ]
    assert f">{100 * float(cell['value']):.0f}</text>" in svg


def test_the_diagonal_is_drawn_in_each_panel(views: dict[str, Drawing]) -> None:
    spec = spec_of(views, "speed")
    svg = svg_of(spec)
    assert svg.count('stroke-dasharray="5,4"') == 2
    drawn = [row for row in rows_of(spec) if row["batch_size"] == "64"]
    assert points(svg) == len(drawn)
    assert [plot.name for plot in views["speed"].plots] == ["speed-batch-1", "speed-batch-64"]


def test_views_without_data_say_what_is_missing(make: Make) -> None:
    records = make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        levels=(0.9,),
        distortions=(),
        stages=("train",),
        seeds=1,
    )
    views = {view.key: view for view in views_of(leaderboard(records))}
    assert views["accuracy"].spec is not None
    for key, stage in (("distance", "attack"), ("degradations", "degrade"), ("speed", "speed")):
        assert views[key].spec is None
        assert f"stage {stage}" in str(views[key].missing)
    assert "`distortions`" in str(views["transfer"].missing)


def test_no_records_no_charts() -> None:
    views = views_of(leaderboard([]))
    assert all(view.spec is None and view.missing for view in views)

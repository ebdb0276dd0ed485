"""What the board tells about attacks: curves, dense parents, members, flags, and what is ranked."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import vl_convert

from robench.analysis.distances import Attacked, compare_distances
from robench.board.charts.base import chosen
from robench.board.charts.drawing import Drawing
from robench.board.model.columns import AREA, DISTANCE
from robench.board.model.flags import Flag
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.model.rows import Row
from robench.board.render.build import build_board
from robench.board.render.scripts import vega_lite_version
from robench.board.views import views_of
from robench.board.views.attack_board import _Line
from robench.board.views.attack_curves import AttackCurves
from robench.board.views.attack_ratio import AttackRatio
from robench.board.views.distance import Distance
from robench.errors import StoreError
from robench.spec import Metric, PluginRef, Record
from robench.stats.proportion import wilson_interval

Make = Callable[..., list[Record]]
GRID = {
    "data": ("digits",),
    "models": (PluginRef(name="mlp", version=1),),
    "methods": (("dense", ()), ("magnitude", ()), ("ssl", ())),
    "levels": (0.5, 0.9),
    "seeds": 2,
    "distortions": (),
    "mishaps": False,
    "stages": ("train", "attack"),
}


@pytest.fixture(scope="module")
def few(make: Make) -> list[Record]:
    return make(**GRID)


@pytest.fixture(scope="module")
def board(few: list[Record], arrays: Callable[..., Any]) -> Leaderboard:
    return leaderboard(few, arrays(few))


@pytest.fixture(scope="module")
def views(board: Leaderboard) -> dict[str, Drawing]:
    return {view.key: view for view in views_of(board)}


def drawn(view: Drawing) -> list[dict[str, str]]:
    assert view.spec is not None
    [text] = view.spec["datasets"].values()
    return list(csv.DictReader(io.StringIO(text)))


def points(spec: dict[str, Any]) -> int:
    svg = str(vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version()))
    return svg.count('aria-roledescription="point"')


def changed(records: list[Record], change: Callable[[Record], Record]) -> list[Record]:
    return [change(record) if record.cell.stage == "attack" else record for record in records]


def row_of(board: Leaderboard, method: str, level: float) -> Row:
    [row] = [row for row in board.rows if (row.method, row.level) == (method, level)]
    return row


# -- curves ---------------------------------------------------------------------------------------


def test_a_curve_is_told_of_all_images_and_of_those_that_are_right(
    make: Make, arrays: Callable[..., Any]
) -> None:
    records = make(**{**GRID, "seeds": 1})
    view = AttackCurves().draw(leaderboard(records))
    [record] = [
        record
        for record in records
        if (record.cell.stage, record.cell.method.name, record.cell.level) == ("attack", "ssl", 0.9)
    ]
    left = round(record.metric("accuracy_at", radius=1.0).value * 1000)
    correct = round(record.metric("accuracy").value * 1000)
    ssl = [
        row for row in drawn(view) if (row["m"], row["level"], row["radius"]) == ("2", "0.9", "1")
    ]
    absolute, relative = sorted(ssl, key=lambda row: row["over"])
    assert float(absolute["value"]) == pytest.approx(left / 1000, rel=1e-4)
    assert float(relative["value"]) == pytest.approx(left / correct, rel=1e-4)
    bounds = (float(relative["low"]), float(relative["high"]))
    assert bounds == pytest.approx(wilson_interval(left, correct), rel=1e-3)
    start = [row for row in drawn(view) if (row["radius"], row["over"]) == ("0", "1")]
    assert {row["value"] for row in start} == {"1"}


def test_the_reader_chooses_level_and_images(views: dict[str, Drawing]) -> None:
    view = views["curves"]
    assert view.spec is not None
    # Dense, random, magnitude and ssl would be four; this grid has no random.
    assert points(view.spec) == 3 * 5
    assert points(chosen(view.spec, chosen_over=1, chosen_level=0.5)) == 3 * 5
    assert {control.parameter for control in view.controls} == {
        "chosen_level",
        "chosen_training",
        "chosen_over",
    }


# -- dense parents --------------------------------------------------------------------------------


def test_networks_are_compared_with_the_dense_one_of_their_seed(
    board: Leaderboard, few: list[Record], arrays: Callable[..., Any]
) -> None:
    read = arrays(few)
    found = board.against_parent
    assert set(found["method"]) == {"magnitude", "ssl"}
    attacks = [record for record in few if record.cell.stage == "attack" and record.cell.seed == 1]
    of = {
        record.cell.method.name: Attacked(**read(record.id))
        for record in attacks
        if record.cell.level in (0.0, 0.9)
    }
    for over in ("all", "both-correct"):
        expected = compare_distances(of["ssl"], of["dense"], limit=3.0, over=over)
        assert expected is not None
        rows = found[
            (found["method"] == "ssl")
            & (found["level"] == 0.9)
            & (found["seed"] == 1)
            & (found["over"] == over)
        ].set_index("measure")
        for measure in ("ratio_of_medians", "ratio_of_areas", "geometric_mean_ratio"):
            wanted = getattr(expected, measure)
            got = rows.loc[measure, ["value", "low", "high"]].astype(float)
            np.testing.assert_allclose(got, wanted, equal_nan=True)
        assert (rows["p_value"] == expected.p_value).all()
    # Without noise in the pairs, the geometric mean is exact.
    exact = found[(found["method"] == "ssl") & (found["over"] == "both-correct")]
    exact = exact[exact["measure"] == "geometric_mean_ratio"]["value"]
    np.testing.assert_allclose(exact, 0.8)


def test_ratios_are_drawn_and_told(views: dict[str, Drawing]) -> None:
    view = views["parents"]
    assert view.spec is not None
    assert points(view.spec) == 2 * 2
    ssl = [row for row in drawn(view) if row["m"] == "2" and row["measure"] == "0"]
    assert {row["value"] for row in ssl} == {"0.8"}
    [table] = view.tables
    lines = {(str(row[0]), row[1].text): [str(entry) for entry in row[2:]] for row in table.rows}
    assert lines["ssl", "50%"][0].startswith("0.80")
    assert lines["ssl", "50%"][-2:] == ["0 : 360 p < 0.001", "0 : 380 p < 0.001"]
    assert lines["magnitude", "50%"][-1] == "0 : 0 p ≤ 1.000"


def test_without_arrays_or_dense_networks_the_view_says_so(few: list[Record]) -> None:
    view = AttackRatio().draw(leaderboard(few))
    assert view.spec is None
    assert view.missing is not None
    assert "dense" in view.missing


def test_other_images_and_damaged_arrays_are_not_compared(
    few: list[Record], arrays: Callable[..., Any]
) -> None:
    def others(record: Record) -> Record:
        identity = "1" * 64 if record.cell.method.name == "ssl" else "0" * 64
        return record.model_copy(update={"details": {**record.details, "images_sha256": identity}})

    records = changed(few, others)
    assert set(leaderboard(records, arrays(few)).against_parent["method"]) == {"magnitude"}

    def broken(cell_id: str, only: object = None) -> dict[str, np.ndarray]:
        raise StoreError(f"the arrays of the record {cell_id} are damaged")

    assert leaderboard(few, broken).against_parent.empty


# -- members and guests ---------------------------------------------------------------------------


def test_the_attack_board_tells_members_and_guests_apart(views: dict[str, Drawing]) -> None:
    each, methods = views["attacks"].tables
    assert "10 by l2-quick/1 on 1,000 images each" in each.caption
    lines = {row[0].text: [str(entry) for entry in row[1:]] for row in each.rows}
    assert list(lines) == ["deepfool", "ddn", "mine", "the whole suite"]
    assert lines["ddn"] == ["80.0", "0.990 lowest 0.990", "1.00", "600", "–"]
    assert lines["mine"][1].startswith("1.010")
    [guest] = [row[0].note for row in each.rows if row[0].text == "mine"]
    assert guest == "guest, not counted; failed on 10 of 10: raised Oops"
    assert lines["the whole suite"][-2:] == ["1,400", "2,000"]
    assert [str(row[0]) for row in methods.rows] == [
        "dense 2 networks",
        "magnitude 4 networks",
        "ssl 4 networks",
    ]
    assert str(methods.rows[0][2]) == "0.990 closest on 80.0%"


def test_where_nothing_was_attacked_there_are_no_such_views(make: Make) -> None:
    records = make(**{**GRID, "stages": ("train",), "seeds": 1})
    keys = {view.key for view in views_of(leaderboard(records))}
    assert keys.isdisjoint({"curves", "parents", "attacks"})


# -- ranking and flags ----------------------------------------------------------------------------


def test_only_distances_of_one_attack_suite_are_ranked(few: list[Record]) -> None:
    def newer(record: Record) -> Record:
        if record.cell.method.name != "ssl":
            return record
        return record.model_copy(update={"details": {**record.details, "suite": "l2-quick/2"}})

    board = leaderboard(changed(few, newer))
    ssl, magnitude = row_of(board, "ssl", 0.9), row_of(board, "magnitude", 0.9)
    for column in (DISTANCE, AREA):
        assert column.rank_by(magnitude, board.standing(magnitude)) is not None
        assert column.rank_by(ssl, board.standing(ssl)) is None
        assert column.value(ssl) != "–"
    assert "l2-quick/2 on 1,000 images, which does not compare" in DISTANCE.basis(ssl)
    assert DISTANCE.basis(magnitude).endswith("l2-quick/1 on 1,000 images")


def test_of_two_runs_of_the_same_attacks_the_newest_counts(few: list[Record]) -> None:
    def with_guest(record: Record) -> Record:
        cell = record.cell.model_copy(update={"options": {**record.cell.options, "extra": ["x"]}})
        metrics = (Metric(name="median_l2", value=9.0),)
        return record.model_copy(
            update={
                "id": cell.id,
                "cell": cell,
                "metrics": metrics,
                "provenance": {"started": "2030"},
            }
        )

    later = [with_guest(record) for record in few if record.cell.stage == "attack"]
    for records in ([*few, *later], [*later, *few]):
        estimate = row_of(leaderboard(records), "ssl", 0.9).median_l2
        assert estimate is not None
        assert estimate.value == 9.0


def flagged(
    flags: list[dict[str, object]], stages: tuple[str, ...] = ("attack",)
) -> Callable[[Record], Record]:
    def change(record: Record) -> Record:
        if (record.cell.method.name, record.cell.level) != ("ssl", 0.9):
            return record
        if record.cell.stage not in stages:
            return record
        mine = [{**flag, "value": flag["value"] + record.cell.seed / 10} for flag in flags]
        return record.model_copy(update={"details": {**record.details, "flags": mine}})

    return change


@pytest.fixture(scope="module")
def with_flags(few: list[Record]) -> list[Record]:
    meaning = "its points <b>shorten</b>"
    raised = {"name": "rayslack", "value": 0.3, "threshold": 0.03, "raised": True}
    note = {"name": "scale", "value": 900.0, "threshold": [0.1, 100.0], "raised": True}
    quiet = {"name": "single", "value": 0.99, "threshold": 0.95, "raised": False}
    return changed(
        few,
        flagged(
            [
                {**note, "meaning": "extreme logits", "kind": "note"},
                {**raised, "meaning": meaning, "kind": "warning"},
                {**quiet, "meaning": "none", "kind": "warning"},
            ]
        ),
    )


def test_flags_tell_kind_values_and_threshold(with_flags: list[Record]) -> None:
    flags = row_of(leaderboard(with_flags), "ssl", 0.9).flags
    assert flags == (
        Flag("rayslack", "its points <b>shorten</b>", 2, "warning", (0.3, 0.4), "up to 0.03"),
        Flag("scale", "extreme logits", 2, "note", (900.0, 900.1), "0.1 to 100"),
    )
    assert flags[0].told == (
        "rayslack (in 2 seeds): its points <b>shorten</b> (measured 0.3 to 0.4, sound up to 0.03; "
        "warning)"
    )


def test_flags_of_the_noise_that_was_trained_on_stand_in_the_row(few: list[Record]) -> None:
    blank = {"name": "noise-blanks", "value": 0.3, "threshold": [0.0, 0.01], "raised": True}
    stages = ("train", "worst_noise", "degrade")
    mark = flagged([{**blank, "meaning": "blank", "kind": "warning"}], stages)
    [flag] = row_of(leaderboard(list(map(mark, few))), "ssl", 0.9).flags
    assert (flag.name, flag.seeds, flag.kind) == ("noise-blanks", 2, "warning")
    assert flag.values == (0.3, 0.4)


def test_badges_stand_on_the_page_the_readme_and_in_the_terminal(
    with_flags: list[Record], tmp_path: Any, parse: Callable[[str], Any]
) -> None:
    from robench.board import summary_text

    page = build_board(with_flags, tmp_path)
    elements = parse(page.read_text(encoding="utf-8"))
    [warning] = elements.of("abbr", **{"class": "flag warning"})
    [note] = elements.of("abbr", **{"class": "flag note"})
    assert (warning.text, note.text) == ("rayslack", "scale")
    assert "<b>shorten</b>" in str(warning.attributes["title"])  # as text
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "⚑ rayslack" in readme
    assert "⚑ scale" not in readme  # a note is no reason to doubt the distance
    assert "- ⚑ rayslack: its points \\<b\\>shorten\\</b\\>." in readme
    text = summary_text(with_flags, width=100)
    assert any(line.endswith("⚑ rayslack") for line in text.splitlines())
    assert "⚑ rayslack: its points <b>shorten</b>" in text
    assert "⚑ scale" not in text


def test_notes_draw_no_ring(few: list[Record]) -> None:
    note = {"name": "scale", "value": 900.0, "threshold": [0.1, 100.0], "raised": True}
    records = changed(few, flagged([{**note, "meaning": "extreme", "kind": "note"}]))
    view = Distance().draw(leaderboard(records))
    assert {row["flagged"] for row in drawn(view)} == {"0"}
    assert any("scale: extreme" in row["flags"] for row in drawn(view))


def test_a_flag_that_was_a_warning_when_it_was_stored_and_is_a_note_now(few: list[Record]) -> None:
    stored = {"name": "df-gap", "value": 1.4, "threshold": 1.25, "raised": True}
    records = changed(few, flagged([{**stored, "meaning": "misleads", "kind": "warning"}]))
    [flag] = row_of(leaderboard(records), "ssl", 0.9).flags
    assert (flag.name, flag.kind) == ("df-gap", "note")


def test_an_attack_without_a_finite_figure_is_left_out_of_the_mean():
    line = _Line("fgsm", [{"optimality": "-inf"}, {"optimality": 0.5}, {"optimality": None}])
    assert line.mean("optimality") == 0.5
    assert _Line("fgsm", [{"optimality": "nan"}]).mean("optimality") is None

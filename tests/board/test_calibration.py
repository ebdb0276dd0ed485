"""The reliability diagram, and the column of the calibration error."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import vl_convert

from robench.board.charts.drawing import Drawing
from robench.board.model.columns import shown
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.render.scripts import vega_lite_version
from robench.board.views import views_of
from robench.measure.calibration import equal_width
from robench.spec import Metric, PluginRef, Record

Make = Callable[..., list[Record]]
BINS = 5


def calibrated(train: Record, generator: np.random.Generator) -> Record:
    """A record of answers whose confidence is 0.2 above their accuracy."""
    confidence = generator.uniform(0.5, 1, 400)
    correct = generator.random(400) < confidence - 0.2
    found = equal_width(confidence, correct, BINS)
    bars = [
        {
            "low": k / BINS,
            "high": (k + 1) / BINS,
            "count": int(found.count[k]),
            "confidence": float(found.confidence[k]) if found.count[k] else None,
            "accuracy": float(found.accuracy[k]) if found.count[k] else None,
        }
        for k in range(BINS)
    ]
    cell = train.cell.model_copy(
        update={"stage": "calibration", "parent": train.id, "options": {"bins": BINS}}
    )
    degraded = {"kind": "contrast", "test_level": 0.1}
    return train.model_copy(
        update={
            "id": cell.id,
            "cell": cell,
            "metrics": (
                Metric(name="ece", value=found.error, n=400),
                Metric(name="ece", value=0.9, n=400, condition=degraded),
            ),
            "details": {"reliability": bars, "conditions": ["clean"], "left_out": {}},
        }
    )


@pytest.fixture(scope="module")
def records(make: Make) -> list[Record]:
    trained = make(
        data=("digits",), models=(PluginRef(name="mlp", version=1),), levels=(0.5, 0.9),
        methods=(("dense", ()), ("halo", ())), seeds=2, distortions=(), stages=("train",),
        mishaps=False,
    )  # fmt: skip
    generator = np.random.default_rng(0)
    results = [record for record in trained if record.cell.role == "result"]
    return [*trained, *(calibrated(record, generator) for record in results)]


@pytest.fixture(scope="module")
def board(records: list[Record]) -> Leaderboard:
    return leaderboard(records)


@pytest.fixture(scope="module")
def view(board: Leaderboard) -> Drawing:
    (found,) = [view for view in views_of(board) if view.key == "calibration"]
    return found


def drawn(view: Drawing) -> Iterator[dict[str, str]]:
    assert view.spec is not None
    (text,) = view.spec["datasets"].values()
    return csv.DictReader(io.StringIO(text))


def test_a_mark_is_all_answers_of_its_bin(view: Drawing, board: Leaderboard) -> None:
    halo = board.methods.index("halo")
    rows = [row for row in drawn(view) if (int(row["m"]), row["level"]) == (halo, "0.9")]
    of = [
        record.details["reliability"]
        for record in board.records
        if (record.cell.stage, record.cell.method.name, record.cell.level)
        == ("calibration", "halo", 0.9)
    ]
    assert len(of) == 2
    assert sum(int(row["count"]) for row in rows) == 800
    for row in rows:
        own = [bins[round(float(row["low"]) * BINS)] for bins in of]
        right = sum(bar["count"] * bar["accuracy"] for bar in own if bar["count"])
        assert int(row["count"]) == sum(bar["count"] for bar in own)
        assert float(row["accuracy"]) == pytest.approx(right / int(row["count"]), abs=1e-4)
        assert (row["seeds"], row["of"]) == ("2", "2")


def test_the_chart_has_a_mark_for_each_bin_and_the_diagonal(view: Drawing) -> None:
    svg = vl_convert.vegalite_to_svg(view.spec, vl_version=vega_lite_version())
    # Confidences from 0.5: three bins of the dense control, three of the other at one level.
    assert svg.count('aria-roledescription="point"') == 6
    assert svg.count('stroke-dasharray="5,4"') >= 1
    assert len(view.plots) == 1


def test_the_column_is_the_error_on_clean_images(board: Leaderboard) -> None:
    (column,) = [c for c in shown(board.rows) if c.title == "calibration error, %"]
    for row in board.rows:
        values = [
            record.metrics[0].value
            for record in board.records
            if (record.cell.stage, record.cell.method.label, record.cell.level)
            == ("calibration", row.method, row.level)
        ]
        assert column.estimate(row).value == pytest.approx(np.mean(values))
        assert column.estimate(row).seeds == 2
        assert 0.15 < np.mean(values) < 0.25


def test_without_calibration_there_is_neither(make: Make) -> None:
    few = make(data=("digits",), levels=(0.9,), distortions=(), stages=("train",), seeds=1)
    plain = leaderboard(few)
    assert "calibration" not in [view.key for view in views_of(plain)]
    assert "calibration error, %" not in [column.title for column in shown(plain.rows)]


def test_every_chart_is_of_small_multiples_which_the_page_fits(board: Leaderboard) -> None:
    specs = [view.spec for view in views_of(board) if view.spec is not None]
    assert len(specs) > 1
    for spec in specs:
        assert {"facet", "spec", "columns"} <= spec.keys()

"""Real records of every stage, and every view drawn from them: each shows something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import robench
from robench.board.charts.drawing import Drawing
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.render.build import build_board
from robench.board.render.plots import drawn
from robench.board.views import VIEWS, views_of
from robench.engine.progress import Silent
from robench.stages import STAGES

SUITE = """name: every-stage
version: 1
recipe: {dense_steps: 8, sparse_steps: 8}
seeds: 1
levels: [0.5, 0.8]
grids:
  - data: digits
    models: [{name: mlp, widths: [8]}]
    methods: [magnitude]
    distortions: [none, uniform-noise, contrast]
    evaluate:
      degrade: {kinds: [uniform-noise, contrast], samples: 40}
  - data: digits
    models: [{name: mlp, widths: [16]}]
    methods: [magnitude]
    levels: [0.5]
    recipe: {dense_steps: 80, sparse_steps: 40}
    evaluate:
      speed: {batch_sizes: [4], repeats: 30}
      attack: {suite: l2-smoke, samples: 10}
      corrupt: {kinds: [fog], severities: [1, 3], samples: 20}
      worst_noise: {steps: 4, samples: 12}
      calibration: {kinds: none, samples: 60}
  - data: breast-cancer
    models: [{name: mlp, widths: [6]}]
    methods: [magnitude]
    levels: [0.5]
    evaluate: [trees]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> robench.Results:
    folder = tmp_path_factory.mktemp("every-stage")
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    return robench.run(folder / "suite.yaml", results=folder / "r", jobs=0, progress=Silent())


@pytest.fixture(scope="module")
def board(results: robench.Results) -> Leaderboard:
    return leaderboard(results.records, results.run.store.arrays)


@pytest.fixture(scope="module")
def drawings(board: Leaderboard) -> dict[str, Drawing]:
    return {drawing.key: drawing for drawing in views_of(board)}


def test_every_stage_but_that_of_single_layers_has_records(results: robench.Results) -> None:
    found = {record.cell.stage for record in results.records}
    assert found == {name for name in STAGES.names() if STAGES.get(name).needs_network}
    bad = [r for r in results.records if r.status not in ("ok", "noisy", "not-applicable")]
    assert [(record.cell.label, record.reason) for record in bad] == []


def test_details_and_metrics_are_those_that_the_stages_declare(results: robench.Results) -> None:
    for record in results.records:
        if record.status != "ok":
            continue
        declared = STAGES.get(record.cell.stage)
        if declared.Details is not None:
            declared.Details.model_validate(record.details)
        known = {info.name: info for info in declared.metrics}
        for metric in record.metrics:
            if metric.name in known and metric.value is not None:
                low, high = known[metric.name].bounds
                assert low <= metric.value <= high


NETWORK_VIEWS = [name for name in VIEWS.names() if VIEWS.get(name).is_of_networks]


@pytest.mark.parametrize("name", NETWORK_VIEWS)
def test_each_view_shows_something(
    name: str,
    drawings: dict[str, Drawing],
    board: Leaderboard,
    results: robench.Results,
) -> None:
    if name == "speed" and any(r.status == "noisy" for r in results.records):
        pytest.skip("the machine was too busy for a latency to be published")
    assert name in drawings
    drawing = drawings[name]
    assert drawing.missing is None
    assert drawing.reading
    if drawing.spec is None:
        assert any(table.rows for table in drawing.tables)
        return
    assert drawing.plots
    for plot, svg in drawn(drawing.plots, board).items():
        assert marks_in(svg) > 0, plot


def marks_in(svg: str) -> int:
    """Shapes and texts that stand for data: a facet that draws nothing has axes alone."""
    kinds = ("mark-symbol", "mark-line", "mark-rect", "mark-area", "mark-rule")
    found = 0
    for part in svg.split('<g class="')[1:]:
        head, _, rest = part.partition('"')
        if any(kind in head for kind in kinds) and "role-mark" in head:
            found += rest.partition("</g>")[0].count("<path")
            found += rest.partition("</g>")[0].count("<line")
    return found


def test_the_page_has_them_all_and_says_of_none_that_it_failed(
    results: robench.Results, tmp_path: Path
) -> None:
    store: Any = results.run.store
    html = build_board(results.records, tmp_path, arrays=store.arrays).read_text(encoding="utf-8")
    for name in NETWORK_VIEWS:
        assert f'id="{name}"' in html
    assert "This view cannot be shown" not in html


@pytest.mark.slow
def test_single_layers_have_records_and_a_view(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "name: l\nversion: 1\nlayers: {batch_sizes: [1], repeats: 30}\n", encoding="utf-8"
    )
    results = robench.run(
        tmp_path / "suite.yaml", results=tmp_path / "r", jobs=0, progress=Silent()
    )
    assert {record.cell.stage for record in results.records} == {"layers"}
    [drawing] = views_of(leaderboard(results.records))
    assert drawing.key == "layers"
    assert all(table.rows for table in drawing.tables)

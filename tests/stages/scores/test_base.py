"""Metrics of answers as plug-ins: what is accepted, and a plug-in's way to the board."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import robench
from robench.board.model.leaderboard import leaderboard
from robench.engine.progress import Silent
from robench.spec import Record
from robench.stages import STAGES
from robench.stages.scores import SCORES, Answers, Score, own_scores
from robench.stages.scores.base import Figure, check_plugin

SUITE = """name: m
version: 1
data: digits
models: [{name: mlp, widths: [16]}]
methods: [dense]
levels: [0.5]
seeds: 1
recipe: {dense_steps: 20, sparse_steps: 20}
evaluate:
  calibration: {kinds: none, samples: 50%s}
"""
PLUGIN = '''
"""A metric of somebody else's."""

from robench.stages.scores import Score
from robench.stages.scores.base import Figure


class Size(Score):
    """Number of answers."""

    name = "size"
    title = "answers"
    shown = "leaderboard"

    def measure(self, answers):
        """As many as there are."""
        %s
        return Figure(float(len(answers.labels)))
'''


class Hits(Score):
    """Number of right answers."""

    name = "hits"
    title = "hits"

    def measure(self, answers: Answers) -> Figure:
        return Figure(float(answers.correct.sum()))


@pytest.fixture
def registry() -> Iterator[None]:
    before = dict(SCORES._entries)
    yield
    SCORES._entries = before


def test_probabilities_confidence_and_hits_are_those_of_the_logits() -> None:
    answers = Answers(np.log(np.array([[1, 3], [4, 1]], np.float32)), np.array([1, 1]))
    np.testing.assert_allclose(answers.probabilities, [[0.25, 0.75], [0.8, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(answers.confidence, [0.75, 0.8], rtol=1e-6)
    assert answers.correct.tolist() == [True, False]
    assert Hits().measure(answers).value == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Score, "not a subclass"),
        (type("A", (Hits,), {"name": "Hits!"}), "'Hits!'"),
        (type("B", (Hits,), {"title": ""}), "`title`"),
        (type("C", (Hits,), {"version": 0}), "`version`"),
        (type("D", (Score,), {"name": "d", "title": "d"}), "(self, answers)"),
        (type("E", (Hits,), {"measure": lambda self: None}), "(self, answers)"),
    ],
)
def test_what_is_no_metric_is_refused_with_the_reason(value: object, words: str) -> None:
    assert words in (check_plugin(value) or "")


def test_the_docstring_is_the_meaning_where_there_is_none() -> None:
    assert check_plugin(Hits) is None
    assert Hits.info().meaning == "Number of right answers."


def test_the_stage_declares_what_the_table_has() -> None:
    declared = [info.name for info in STAGES.get("calibration").metrics]
    assert declared == list(own_scores())


def run(tmp_path: Path, more: str = "", body: str = "pass") -> robench.Results:
    (tmp_path / "suite.yaml").write_text(SUITE % more, encoding="utf-8")
    (tmp_path / "size.py").write_text(PLUGIN % body, encoding="utf-8")
    return robench.run(
        tmp_path / "suite.yaml",
        results=tmp_path / "r",
        plugins=[tmp_path / "size.py"],
        jobs=0,
        progress=Silent(),
    )


def of_dense(results: robench.Results) -> Record:
    [found] = [
        record
        for record in results.records
        if (record.cell.stage, record.cell.method.name) == ("calibration", "dense")
    ]
    return found


@pytest.mark.usefixtures("registry")
def test_a_metric_in_a_plugin_file_is_measured_recorded_and_has_a_column(tmp_path: Path) -> None:
    results = run(tmp_path)
    record = of_dense(results)
    assert [m.name for m in record.metrics] == [*own_scores(), "size"]
    assert record.metric("size").value == 50
    row = next(row for row in leaderboard(results.records).rows if row.kind.is_dense)
    assert row.others["calibration: size"].value == 50
    # Its source is part of the cell's id: after an edit the cell is another one.
    code = record.cell.options["metrics"]["size"]["code"]
    assert code
    assert code == SCORES.code("size")


@pytest.mark.usefixtures("registry")
def test_metrics_are_chosen_by_name_and_a_fault_names_the_metric(tmp_path: Path) -> None:
    results = run(tmp_path, ", metrics: [nll]", body="raise ZeroDivisionError('none')")
    record = of_dense(results)
    assert record.status == "failed"
    assert "the metric 'size' raised ZeroDivisionError: none" in (record.reason or "")


def test_robenchs_own_alone_leave_ids_as_they_were(tmp_path: Path) -> None:
    from robench.engine.plan import plan
    from robench.spec import load_suite

    (tmp_path / "s.yaml").write_text(SUITE % "", encoding="utf-8")
    (tmp_path / "t.yaml").write_text(SUITE % ", metrics: [nll, ece]", encoding="utf-8")
    every, some = (
        next(c for c in plan(load_suite(tmp_path / f"{name}.yaml")) if c.stage == "calibration")
        for name in "st"
    )
    assert "metrics" not in every.options
    assert list(some.options["metrics"]) == ["nll", "ece"]
    assert every.id != some.id

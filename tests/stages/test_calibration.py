"""Calibration on clean and on degraded images, as a run records it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import robench
from robench.engine.plan import plan
from robench.engine.progress import Silent
from robench.errors import SuiteError
from robench.spec import Record, load_suite

Tiny = Callable[..., Path]


def record_of(results: robench.Results, stage: str, method: str = "dense") -> Record:
    (found,) = [
        each
        for each in results.records
        if (each.cell.stage, each.cell.method.name, each.cell.role) == (stage, method, "result")
    ]
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> robench.Results:
    folder = tmp_path_factory.mktemp("calibration")
    path = folder / "suite.yaml"
    path.write_text(
        "name: c\nversion: 1\ndata: digits\nmodels: [{name: mlp, widths: [16]}]\n"
        "methods: [dense]\nlevels: [0.5]\nseeds: 1\n"
        "recipe: {dense_steps: 30, sparse_steps: 30}\n"
        "evaluate:\n  degrade: {kinds: [uniform-noise, contrast], samples: 60}\n"
        "  calibration: {kinds: [uniform-noise, contrast, greyscale], samples: 60, bins: 10}\n"
    )
    return robench.run(path, results=folder / "r", jobs=0, progress=Silent())


def test_clean_figures_are_those_of_the_kept_logits(results: robench.Results) -> None:
    train, record = (record_of(results, stage) for stage in ("train", "calibration"))
    assert record.status == "ok", record.reason
    logits = results.run.store.arrays(train.id)["logits"][:60].astype(np.float64)
    labels = results.run.store.arrays(train.id)["label"][:60]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = shares[np.arange(60), labels]
    assert record.metric("nll").value == pytest.approx(-np.log(right).mean(), abs=1e-5)
    truth = np.eye(10)[labels]
    assert record.metric("brier").value == pytest.approx(
        np.square(shares - truth).sum(1).mean(), abs=1e-5
    )
    sure, correct = shares.max(1), shares.argmax(1) == labels
    gaps = [
        abs(correct[of].sum() - sure[of].sum())
        for k in range(10)
        if (of := (sure > k / 10) & (sure <= (k + 1) / 10)).any()
    ]
    assert record.metric("ece").value == pytest.approx(sum(gaps) / 60, abs=1e-5)
    assert record.metric("overconfidence").value == pytest.approx(
        sure.mean() - correct.mean(), abs=1e-5
    )
    assert sum(bar["count"] for bar in record.details["reliability"]) == 60
    assert len(record.details["reliability"]) == 10


def test_degraded_images_are_those_of_the_stage_degrade(results: robench.Results) -> None:
    degraded, record = (record_of(results, stage) for stage in ("degrade", "calibration"))
    answers = results.run.store.arrays(degraded.id)
    correct = dict(
        zip(
            degraded.details["conditions"],
            answers["answers"] == answers["label"][None],
            strict=True,
        )
    )
    own = dict(
        zip(
            record.details["conditions"],
            results.run.store.arrays(record.id)["correct"],
            strict=True,
        )
    )
    assert own.keys() == {"clean", *correct}
    for condition, right in correct.items():
        np.testing.assert_array_equal(own[condition], right)
    assert record.details["left_out"]["greyscale"].startswith("it leaves grey images")
    assert record.metric("ece", kind="uniform-noise", test_level=0.9) is not None


def test_every_metric_is_declared(results: robench.Results) -> None:
    from robench.stages.calibration import Calibration

    known = {metric.name: metric for metric in Calibration.metrics}
    for metric in record_of(results, "calibration").metrics:
        low, high = known[metric.name].bounds
        assert low <= metric.value <= high


def test_tables_have_clean_rows_alone(tiny: Tiny, tmp_path: Path) -> None:
    suite = tiny(data="breast-cancer", methods="[dense]", evaluate="[calibration]")
    done = robench.run(suite, results=tmp_path / "r", jobs=0, progress=Silent())
    record = record_of(done, "calibration")
    assert record.details["conditions"] == ["clean"]
    assert {metric.name for metric in record.metrics} == {
        *("ece", "adaptive_ece", "overconfidence", "brier", "nll"),
    }


def test_options(tiny: Tiny) -> None:
    def asked(text: str) -> dict:
        cells = plan(load_suite(tiny(methods="[dense]", evaluate=text)))
        return next(cell.options for cell in cells if cell.stage == "calibration")

    assert asked("{calibration: {kinds: none}}") == {"kinds": {}, "samples": None, "bins": 15}
    degrade = next(
        cell.options
        for cell in plan(load_suite(tiny(methods="[dense]", evaluate="[degrade]")))
        if cell.stage == "degrade"
    )
    assert asked("[calibration]") == {**degrade, "bins": 15}
    with pytest.raises(SuiteError, match=r"calibration.bins: should be greater than"):
        load_suite(tiny(evaluate="{calibration: {bins: 0}}"))


def test_regression_has_nothing_to_be_sure_of(tiny: Tiny) -> None:
    with pytest.raises(SuiteError, match="calibration: it is about classes"):
        plan(load_suite(tiny(data="friedman1", evaluate="[calibration]")))

"""The speed stage on a machine whose times are ours: what is timed, and under which label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import robench
from robench.engine import plan
from robench.engine.progress import Silent
from robench.measure import machine, speed
from robench.measure.latency import LatencySample
from robench.spec import Record, load_suite

SECONDS = {"original": 6e-3, "compacted": 2e-3}


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(calls: Mapping[str, Callable[[], object]], **_: object) -> LatencySample:
        assert set(calls) == set(SECONDS)
        shapes = {name: np.full((15, 2), SECONDS[name]) for name in calls}
        return LatencySample(shapes, dict.fromkeys(calls, 1))

    monkeypatch.setattr(speed, "sample_latency", sample)


def timed(suite: Path, folder: Path, method: str = "magnitude", **options: str) -> Record:
    results = robench.run(suite, results=folder, jobs=0, progress=Silent(), **options)
    (record,) = (
        r for r in results.records if r.cell.stage == "speed" and r.cell.method.name == method
    )
    return record


@pytest.mark.usefixtures("calm")
def test_each_form_has_its_own_label(tiny, tmp_path: Path) -> None:
    suite = tiny(
        models="[{name: convnet, widths: [4]}]",
        levels="[0.9]",
        evaluate="{speed: {batch_sizes: [3], forms: [inference, csr, '2:4', captured]}}",
    )
    record = timed(suite, tmp_path / "r")
    assert record.status == "ok"
    assert record.metric("speedup", batch_size=3).value == pytest.approx(3.0)
    labels = {
        (m.condition["form"], m.condition["network"])
        for m in record.metrics
        if m.name == "form_speedup"
    }
    assert labels == {("inference", "compacted"), ("csr", "csr")}
    for form, network in labels:
        condition = {"batch_size": 3, "form": form}
        dense = record.metric("form_latency_ms", network="dense", **condition)
        assert dense.value == pytest.approx(6.0)
        assert record.metric("form_latency_ms", network=network, **condition).value == (
            pytest.approx(2.0)
        )
    notes = record.details["speed"]["notes"]
    assert "GPU" in notes["2:4"]
    assert "CPU" in notes["captured"]
    recipes = record.details["recipes"]["inference"]
    assert set(recipes) == {"dense", "compacted"}
    assert set(recipes["compacted"]) >= {"one", "many", "latency_ms", "notes"}
    assert record.details["speed"]["original"]["uncounted"] == {}
    # No other speed-up or latency goes by the plain names.
    assert len([m for m in record.metrics if m.name == "speedup"]) == 1
    assert len([m for m in record.metrics if m.name == "latency_ms"]) == 2


@pytest.mark.usefixtures("calm")
def test_forms_that_were_not_asked_for_are_not_made(tiny, tmp_path: Path) -> None:
    suite = tiny(evaluate="{speed: {batch_sizes: [3], forms: []}}")
    record = timed(suite, tmp_path / "r")
    assert not any(m.name.startswith("form_") for m in record.metrics)
    assert record.details["speed"]["notes"] == {}


@pytest.mark.usefixtures("calm")
def test_another_machine_measures_for_itself(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tiny(evaluate="{speed: {batch_sizes: [3], forms: []}}")
    first = timed(suite, tmp_path / "r")
    assert first.cell.options["machine"] == first.provenance["machine"]["hardware"]["cpu"]
    facts = {**machine._facts(), "cpu": "a quicker one"}
    monkeypatch.setattr(machine, "_facts", lambda: facts)
    second = timed(suite, tmp_path / "r")
    assert second.cell.parent == first.cell.parent
    assert second.id != first.id
    assert second.cell.options["machine"] != first.cell.options["machine"]


def test_a_cell_of_another_machine_is_not_timed_here(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tiny(evaluate="{speed: {batch_sizes: [3]}}")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(machine, "hardware_key", lambda _: "0123456789ab")
        cells = plan.plan(load_suite(suite))
    monkeypatch.setattr("robench.engine.run.plan", lambda *_, **__: cells)
    record = timed(suite, tmp_path / "r")
    assert record.status == "failed"
    assert "0123456789ab" in record.reason

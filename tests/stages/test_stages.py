"""A small run through all stages: what the records say against what lies beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import robench
from robench.data import load
from robench.data.base import to_float
from robench.engine.progress import Silent
from robench.models import build
from robench.spec import Record
from robench.stats.proportion import wilson_interval
from robench.store import Store
from robench.training.checkpoint import Checkpoint

SUITE = """\
name: stages
version: 1
description: for tests
data: digits
models: [{name: mlp, widths: [24]}]
methods: [ssl, halo]
levels: [0.7]
seeds: 1
recipe: {dense_steps: 60, sparse_steps: 60}
evaluate:
  speed: {batch_sizes: [8]}
  attack: {suite: l2-smoke, samples: 24}
  degrade: {kinds: [uniform-noise, low-pass], samples: 40}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> robench.Results:
    folder = tmp_path_factory.mktemp("stages")
    (folder / "stages.yaml").write_text(SUITE)
    return robench.run(folder / "stages.yaml", results=folder / "r", jobs=0, progress=Silent())


@pytest.fixture(scope="module")
def store(results: robench.Results) -> Store:
    return results.run.store


def of_stage(results: robench.Results, stage: str) -> list[Record]:
    found = [r for r in results.records if r.cell.stage == stage and r.cell.role == "result"]
    assert len(found) == 5
    return found


def network_of(record: Record, store: Store) -> torch.nn.Module:
    """The network of a train record, built by hand."""
    data = load("digits")
    model = build(
        "mlp",
        input_shape=(1, 32, 32),
        classes=10,
        mean=data.mean,
        std=data.std,
        params={"widths": [24]},
        seed=12345,
    )
    checkpoint = Checkpoint.load(store.checkpoint_path(record.id))
    model.load_state_dict(dict(checkpoint.weights))
    return model.eval()


def test_everything_succeeds_but_for_a_busy_machine(results: robench.Results) -> None:
    assert {r.status for r in results.records} <= {"ok", "noisy"}
    assert all(r.status == "ok" for r in results.records if r.cell.stage != "speed")


def test_levels_are_counted_from_the_weights(results, store) -> None:
    for record in of_stage(results, "train"):
        weights = [p for name, p in network_of(record, store).named_parameters() if p.dim() > 1]
        zeros = sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
        assert record.metric("level_achieved").value == pytest.approx(zeros)
        slack = 0.03 if record.cell.method.name == "ssl" else 0.001  # SSL removes whole neurons
        assert zeros == pytest.approx(record.cell.level, abs=slack)


def test_accuracy_is_that_of_the_kept_logits_and_of_the_checkpoint(results, store) -> None:
    test = load("digits").test
    for record in of_stage(results, "train"):
        arrays = store.arrays(record.id)
        correct = int((arrays["logits"].argmax(1) == arrays["label"]).sum())
        accuracy = record.metric("accuracy")
        assert accuracy.value == correct / len(test)
        assert (accuracy.low, accuracy.high) == wilson_interval(correct, len(test))
        with torch.no_grad():
            again = network_of(record, store)(to_float(test.images))
        np.testing.assert_allclose(again.numpy(), arrays["logits"], atol=1e-4)


def test_all_methods_of_a_seed_start_from_the_same_weights(results) -> None:
    records = [r for r in results.records if r.cell.stage == "train"]
    assert len({record.cell.seed_for("init") for record in records}) == 1


def test_adversarials_can_be_checked_by_anyone(results, store) -> None:
    data = load("digits").test
    by_id = {r.id: r for r in results.records}
    for record in of_stage(results, "attack"):
        arrays = store.arrays(record.id)
        model = network_of(by_id[record.cell.parent], store)
        images = to_float(data.first(24).images)
        adversarial = torch.from_numpy(arrays["adversarial"])
        with torch.no_grad():
            clean, pushed = model(images).argmax(1), model(adversarial).argmax(1)
        labels = torch.from_numpy(arrays["label"])
        distance = torch.from_numpy(arrays["distance"])
        found = (clean == labels) & distance.isfinite()
        assert found.any()
        assert (pushed != labels)[found].all()
        assert ((adversarial >= 0) & (adversarial <= 1)).all()
        norm = (adversarial.double() - images.double()).flatten(1).norm(dim=1)
        torch.testing.assert_close(norm[found], distance[found])
        assert (distance[clean != labels] == 0).all()
        median = np.median(distance[clean == labels].numpy())
        assert record.metric("median_l2").value == pytest.approx(median)


def test_degraded_accuracy_is_that_of_the_shown_images(results, store) -> None:
    test = load("digits").test.first(40)
    by_id = {r.id: r for r in results.records}
    for record in of_stage(results, "degrade"):
        model = network_of(by_id[record.cell.parent], store)
        shown = robench.degrade(
            to_float(test.images),
            "uniform-noise",
            0.2,
            seed=record.cell.seed_for("evaluate"),
            index=test.index,
        )
        with torch.no_grad():
            correct = (model(shown).argmax(1) == test.labels).float().mean()
        metric = record.metric("accuracy", kind="uniform-noise", test_level=0.2)
        assert metric.value == pytest.approx(float(correct), abs=1 / 40)
        answers = store.arrays(record.id)["answers"]
        conditions = record.details["conditions"]
        row = answers[conditions.index("uniform-noise 0.2")]
        assert metric.value == (row == test.labels.numpy()).mean()
        assert "224" in record.details["conventions"]["low-pass"]


def test_compacted_networks_are_equal_and_smaller(results) -> None:
    by_method = {r.cell.method.name: r for r in of_stage(results, "speed")}
    for record in by_method.values():
        assert record.metric("max_abs_logit_difference").value < 1e-4
        dense, compacted = (record.metric(f"macs_{n}").value for n in ("dense", "compacted"))
        assert record.metric("operation_ratio").value == dense / compacted
    assert by_method["ssl"].metric("operation_ratio").value > 1.5
    assert by_method["dense"].metric("operation_ratio").value == 1.0
    ratio = by_method["magnitude"].metric("operation_ratio_nonzero").value
    assert ratio == pytest.approx(1 / 0.3, rel=0.01)


def test_sizes_are_in_the_record(results, store) -> None:
    by_id = {r.id: r for r in results.records}
    for record in of_stage(results, "speed"):
        file = store.checkpoint_path(by_id[record.cell.parent].id)
        dense = record.metric("file_bytes_dense").value
        assert dense <= file.stat().st_size <= 1.2 * dense  # masks and names come on top
        weights = sum(p.numel() for p in network_of(by_id[record.cell.parent], store).parameters())
        assert record.metric("parameters_dense").value == weights
        for name in ("parameters", "bytes", "file_bytes", "peak_activation_bytes"):
            compacted = record.metric(f"{name}_compacted").value
            assert 0 < compacted <= 1.01 * record.metric(f"{name}_dense").value


def test_noisy_figures_are_left_out(results) -> None:
    for record in of_stage(results, "speed"):
        has_figure = record.metric("speedup", batch_size=8) is not None
        assert has_figure == (record.status == "ok")


def test_records_carry_their_provenance(results) -> None:
    for record in results.records:
        assert record.provenance["machine"]["key"]
        commit = record.provenance["commit"]
        assert commit is None or len(commit.removesuffix("-dirty")) == 40
        assert record.provenance["wall_s"] > 0
        assert record.provenance["peak_memory_bytes"] > 1e6


def test_the_table_has_a_row_a_metric(results) -> None:
    table = results.table()
    assert len(table) == sum(max(1, len(record.metrics)) for record in results.records)
    train = table[(table.stage == "train") & (table.metric == "accuracy")]
    assert set(train.method) == {"dense", "random", "magnitude", "ssl", "halo"}

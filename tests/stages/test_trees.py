"""Networks beside trees: what the records say against what lies beside them."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import robench
from robench.data import load
from robench.data.loading import _loaded
from robench.engine.plan import plan
from robench.engine.progress import Silent
from robench.measure.importance import entropy_bits
from robench.spec import Record, load_suite
from robench.stages.trees import _weight
from robench.stats.proportion import wilson_interval
from robench.store import Store

SUITE = """\
name: tables
version: 1
description: for tests
data: ["csv:{classes}", "csv:{regression}"]
models: [{{name: mlp, widths: [16]}}]
methods: [magnitude]
levels: [0.9]
seeds: 1
recipe: {{dense_steps: 60, sparse_steps: 60, batch_size: 32, learning_rate: 0.05}}
evaluate: {{trees: {{most_rounds: 10}}}}
"""


def write_tables(folder: Path) -> dict[str, Path]:
    """Two tables of the same features: a number to predict, and whether it is large."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.random((200, 5)), columns=list("abcde"))
    frame["size"] = 3 * frame["a"] + np.sin(6 * frame["b"])
    paths = {name: folder / f"{name}.csv" for name in ("classes", "regression")}
    frame.to_csv(paths["regression"], index=False)
    large = frame["size"] > frame["size"].median()
    frame.assign(size=np.where(large, "large", "small")).to_csv(paths["classes"], index=False)
    return paths


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tables(tmp_path_factory.mktemp("tables") / "here")


@pytest.fixture(scope="module")
def results(tables: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> robench.Results:
    folder = tmp_path_factory.mktemp("trees")
    (folder / "tables.yaml").write_text(SUITE.format(**tables))
    return robench.run(folder / "tables.yaml", results=folder / "r", jobs=0, progress=Silent())


@pytest.fixture(scope="module")
def store(results: robench.Results) -> Store:
    return results.run.store


def of(results: robench.Results, name: str) -> list[Record]:
    found = [
        record
        for record in results.records
        if record.cell.stage == "trees" and record.cell.data.name == f"csv:{name}.csv"
    ]
    assert len(found) == 3  # dense, random, magnitude
    return found


def value(record: Record, name: str) -> float:
    metric = record.metric(name)
    assert metric is not None
    assert metric.value is not None
    return metric.value


def test_everything_succeeds_one_cell_a_network(results: robench.Results) -> None:
    assert {record.status for record in results.records} == {"ok"}
    trained = {record.id for record in results.records if record.cell.role == "result"}
    assert {record.cell.parent for record in of(results, "classes")} <= trained


def test_accuracies_are_those_of_the_answers(results: robench.Results, store: Store) -> None:
    for record in of(results, "classes"):
        arrays = store.arrays(record.id)
        for whose in ("trees", "ensemble"):
            metric = record.metric(f"{whose}_accuracy")
            assert metric is not None
            correct = int((arrays[whose].argmax(1) == arrays["label"]).sum())
            assert metric.value == correct / len(arrays["label"])
            assert (metric.low, metric.high) == wilson_interval(correct, len(arrays["label"]))


def test_errors_are_in_the_targets_own_units(
    results: robench.Results, store: Store, tables: dict[str, Path]
) -> None:
    data = load(f"csv:{tables['regression']}")
    targets = pd.read_csv(tables["regression"])["size"].to_numpy()
    for record in of(results, "regression"):
        arrays = store.arrays(record.id)
        target = targets[arrays["index"]]
        for whose in ("trees", "ensemble"):
            answer = arrays[whose][:, 0] * data.target_std + data.target_mean
            mse = float(np.square(answer - target).mean())
            assert value(record, f"{whose}_mse") == pytest.approx(mse, rel=1e-4)
            assert value(record, f"{whose}_r2") == pytest.approx(1 - mse / target.var(), rel=1e-3)
    assert value(record, "trees_r2") > 0.6


def test_the_ensemble_weighs_both_by_validation(
    results: robench.Results, store: Store, tables: dict[str, Path]
) -> None:
    records = [*of(results, "classes"), *of(results, "regression")]
    assert any(0 < value(record, "ensemble_weight") < 1 for record in records)
    for record in records:
        arrays, weight = store.arrays(record.id), value(record, "ensemble_weight")
        train = store.arrays(record.cell.parent)["logits"].astype(float)
        if record.cell.data.name == "csv:classes.csv":
            train = np.exp(train) / np.exp(train).sum(1, keepdims=True)
        expected = weight * train + (1 - weight) * arrays["trees"]
        np.testing.assert_allclose(arrays["ensemble"], expected, atol=1e-5)


def test_no_other_weight_has_a_smaller_error_on_validation(tables: dict[str, Path]) -> None:
    data = load(f"csv:{tables['regression']}")
    target = data.validation.labels.numpy()[:, None].astype(float)

    def first(rows: np.ndarray) -> np.ndarray:
        return rows[:, :1].astype(float)

    def second(rows: np.ndarray) -> np.ndarray:
        return 1.0 - rows[:, 1:2]

    rows = data.validation.images.numpy()
    grid = np.linspace(0, 1, 2001)
    errors = [np.square(w * first(rows) + (1 - w) * second(rows) - target).sum() for w in grid]
    assert _weight(data, first, second) == pytest.approx(grid[np.argmin(errors)], abs=1e-3)
    assert _weight(data, first, first) == 0.5
    assert _weight(data, lambda rows: target, first) == pytest.approx(1)
    assert _weight(data, lambda rows: target + 9, lambda rows: target) == pytest.approx(0)


def test_importances_are_named_and_add_up(results: robench.Results, store: Store) -> None:
    for record in of(results, "regression"):
        arrays = store.arrays(record.id)
        named = record.details["importance"]
        for model in ("network", "trees"):
            effects = arrays[f"{model}_effects"]
            shares = effects / effects.sum()
            order = np.argsort(-shares)
            assert [name for name, _ in named[model]] == [
                "abcde"[place] for place in order if shares[place] > 0
            ]
            assert sum(share for _, share in named[model]) == pytest.approx(1, abs=1e-4)
            prefix = "trees_" if model == "trees" else ""
            assert value(record, f"{prefix}importance_entropy") == pytest.approx(
                entropy_bits(shares)
            )
            assert value(record, f"{prefix}unused_inputs") == (effects == 0).mean()
        assert {named["trees"][0][0], named["trees"][1][0]} == {"a", "b"}


def test_inputs_without_weights_are_unused(results: robench.Results) -> None:
    for record in of(results, "classes"):
        trained = next(r for r in results.records if r.id == record.cell.parent)
        assert value(record, "unused_inputs") >= value(trained, "dead_inputs")


def test_images_get_no_cell_of_trees(tiny: Callable[..., Path]) -> None:
    told: list[str] = []
    suite = load_suite(tiny(evaluate="{trees: true, degrade: true}"))
    stages = {cell.stage for cell in plan(suite, note=told.append)}
    assert stages == {"train", "degrade"}
    (line,) = [line for line in told if "trees" in line]
    assert line == (
        "the stage trees applies to none of the suite's data and is left out: it is about tables, "
        "and these data are images"
    )


def test_a_cell_is_the_same_wherever_its_file_lies(tables: dict[str, Path], tmp_path: Path) -> None:
    moved = write_tables(tmp_path / "elsewhere")
    cells = []
    for number, paths in enumerate((tables, moved)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(SUITE.format(**paths))
        cells.append(plan(load_suite(file)))
    here, there = cells
    assert [cell.id for cell in here] == [cell.id for cell in there]
    assert str(tables["classes"].parent) not in here[0].model_dump_json()
    # On the way to a worker the place is kept.
    assert pickle.loads(pickle.dumps(there[0])).data.location == f"csv:{moved['classes']}"
    shutil.copy(moved["regression"], moved["classes"])
    _loaded.cache_clear()
    changed = plan(load_suite(tmp_path / "1.yaml"))
    before = {cell.id for cell in here if "classes" in cell.label}
    assert not before & {cell.id for cell in changed}


@pytest.mark.slow
def test_workers_find_the_file(tables: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    text = SUITE.format(**tables).replace("magnitude", "dense").replace("seeds: 1", "seeds: [4]")
    file.write_text(text)
    done = robench.run(
        file, results=tmp_path / "r", jobs=1, only="train csv:classes*dense", progress=Silent()
    )
    assert {record.status for record in done.records} == {"ok"}

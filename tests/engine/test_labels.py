"""Labels that a suite gives: shown everywhere, hashed nowhere, kept in the record, and renewed."""

from __future__ import annotations

from pathlib import Path

import pytest

import robench
from robench.board.model.leaderboard import leaderboard
from robench.engine.plan import plan, select
from robench.engine.progress import Silent
from robench.errors import SuiteError
from robench.spec import Suite, load_suite

SUITE = """name: l
version: 1
data: {data}
models: [{model}]
methods: [{method}]
levels: [0.5]
seeds: 1
recipe: {{dense_steps: 5, sparse_steps: 5}}
"""
PLAIN = {"data": "digits", "model": "{name: mlp, widths: [8]}", "method": "halo"}
NAMED = {
    "data": "{name: digits, label: Digits 8x8}",
    "model": "{name: mlp, widths: [8], label: small MLP}",
    "method": "{name: halo, label: HALO (Seto 2021)}",
}


def suite(tmp_path: Path, given: dict[str, str]) -> Suite:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(**given), encoding="utf-8")
    return load_suite(path)


def run(tmp_path: Path, given: dict[str, str]) -> robench.Results:
    suite(tmp_path, given)
    return robench.run(tmp_path / "suite.yaml", results=tmp_path / "r", jobs=0, progress=Silent())


def test_ids_are_the_same_and_cells_are_found_by_either_name(tmp_path: Path) -> None:
    plain, named = plan(suite(tmp_path, PLAIN)), plan(suite(tmp_path, NAMED))
    assert [cell.id for cell in plain] == [cell.id for cell in named]
    by_label = select(named, "train digits 8x8/small mlp halo (seto 2021) @ 0.5")
    by_name = select(named, "train digits/mlp* halo @ 0.5")
    assert by_label == by_name
    assert by_label[-1].method.name == "halo"


def test_records_keep_labels_and_the_newest_ones_hold_without_doing_anything_again(
    tmp_path: Path,
) -> None:
    before = {record.id: record for record in run(tmp_path, PLAIN).records}
    board = leaderboard(before.values())
    assert board.panels == ("digits · mlp[widths=[8]]",)
    results = run(tmp_path, NAMED)
    assert {r.id: r.metrics for r in results.records} == {i: r.metrics for i, r in before.items()}
    assert {r.provenance["started"] for r in results.records} == {
        r.provenance["started"] for r in before.values()
    }
    # As they lie on disk, labels stand beside the cell, whose fields are all hashed.
    stored = robench.store.Store(tmp_path / "r").records()
    found = leaderboard(stored)
    assert found.panels == ("Digits 8x8 · small MLP",)
    assert "HALO (Seto 2021)" in found.methods
    halo = next(record for record in stored if record.cell.method.name == "halo")
    assert halo.labels == {
        "data": "Digits 8x8",
        "model": "small MLP",
        "method": "HALO (Seto 2021)",
    }
    assert "own_label" not in halo.model_dump_json()
    assert set(found.frame["method_name"]) == {"dense", "random", "magnitude", "halo"}
    run(tmp_path, PLAIN)
    again = leaderboard(robench.store.Store(tmp_path / "r").records())
    assert again.panels == board.panels


@pytest.mark.parametrize(
    "methods",
    ["{name: halo, label: magnitude}", "{name: l1, label: ours}, {name: halo, label: ours}"],
)
def test_one_label_cannot_stand_for_two_methods(tmp_path: Path, methods: str) -> None:
    with pytest.raises(SuiteError, match="stands for") as caught:
        plan(suite(tmp_path, PLAIN | {"method": methods}))
    assert caught.value.where == f"{tmp_path / 'suite.yaml'}:5"

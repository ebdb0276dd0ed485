"""Plug-ins that try to end the run, or that leave the process changed: one row each, no more."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import robench
from robench.engine.driver import TRIES
from robench.engine.progress import Silent
from robench.spec import Record

PLUGINS = Path(__file__).parent.parent / "plugins"
HOSTILE, KILLERS = PLUGINS / "hostile.py", PLUGINS / "killers.py"

REASONS = {
    "system-exits": "raised SystemExit in prepare() at step 0: 3",
    "interrupts": "KeyboardInterrupt",
    "exits-generators": "raised GeneratorExit in prepare()",
    "raises-its-own": "OfItsOwn: mine",
    "recurses": "raised RecursionError in prepare()",
    "has-no-memory": "MemoryError",
    "raises-unspeakable": "its message cannot be shown: __str__ raised RuntimeError",
    "raises-surrogate": "half a letter: \\ud800",
    "notes-nonsense": "object is no plain data",
    "changes-all": "and now this",
}
KILLS = {
    "leaves-at-once": f"exit status 7), {TRIES} times in a row",
    "segfaults": f"SIGSEGV), {TRIES} times in a row",
}
CHANGED = (
    "torch's default dtype",
    "torch's grad mode",
    "torch's number of threads",
    "torch's deterministic mode",
    "torch's autocast",
    "torch's flushing of denormals",
    "torch's hooks on all modules",
    "the environment",
    "the working directory",
    "the warning filters",
    "sys.path",
    "the recursion limit",
    "torch.nn.functional.relu",
    "ReLU.forward",
    "Linear.__call__",
    "Tensor.argmax",
)


def run(suite: Path, folder: Path, **options) -> dict[tuple[str, int], Record]:
    """The records of a run by method and seed, without the networks that others start from."""
    results = robench.run(suite, results=folder, progress=Silent(), **options)
    return {
        (r.cell.method.name, r.cell.seed): r for r in results.records if r.cell.role == "result"
    }


def check(records: dict[tuple[str, int], Record], reasons: dict[str, str]) -> None:
    for name, reason in reasons.items():
        record = records[name, 0]
        assert (record.status, reason in str(record.reason)) == ("failed", True), record.reason
        assert len(str(record.reason)) < 5000
    changes = records["changes-all", 0].provenance["state_changed"]
    assert isinstance(changes, list)
    assert set(CHANGED) <= set(changes)
    assert [r.provenance.get("state_changed") for r in records.values()].count(None) >= 6


def untimed(record: Record) -> list[object]:
    return [metric for metric in record.metrics if metric.name != "train_s"]


SUITE = """\
name: tiny
version: 1
data: digits
models: [{name: mlp, widths: [16]}]
methods: [halo]
levels: [0.5]
seeds: 2
recipe: {dense_steps: 2, sparse_steps: 3}
"""
"""The second seed comes after all that the first has done to the process."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "tiny.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def clean(suite: Path) -> dict[tuple[str, int], Record]:
    return run(suite, suite.parent / "clean", jobs=0)


def same_as_clean(records, clean) -> bool:
    return all(
        records[key].status == "ok" and untimed(records[key]) == untimed(clean[key])
        for key in clean
    )


def test_in_this_process_each_is_a_row_and_leaves_nothing(suite, clean, tmp_path: Path) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.get_num_threads(),
            functional.relu,
            dict(os.environ),
            Path.cwd(),
            tuple(warnings.filters),
            tuple(sys.path),
            sys.getrecursionlimit(),
            torch.get_rng_state().tolist(),
        )

    before = state()
    records = run(suite, tmp_path / "r", jobs=0, plugins=[HOSTILE])
    assert state() == before
    check(records, REASONS)
    assert same_as_clean(records, clean)


@pytest.mark.slow
def test_in_workers_each_is_a_row_and_harms_nobody(suite, clean, tmp_path: Path) -> None:
    records = run(suite, tmp_path / "r", jobs=2, plugins=[HOSTILE, KILLERS])
    check(records, REASONS | KILLS)
    assert same_as_clean(records, clean)
    times = [record.metric("train_s") for record in records.values() if record.status == "ok"]
    slowest = max(time.value for time in times if time is not None)
    assert slowest < 2.0, "a cell has paid for what its process imports"


def test_what_a_file_changes_when_it_is_imported_is_set_back_here_too(tiny, tmp_path) -> None:
    plugin = HOSTILE.parent / "unruly_import.py"
    records = run(tiny(), tmp_path / "r", jobs=0, plugins=[plugin])
    assert torch.get_default_dtype() is torch.float32
    assert {record.status for record in records.values()} == {"ok"}
    assert "spills" in {name for name, _ in records}

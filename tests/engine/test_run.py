"""What is done again and what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import robench
from robench.engine.progress import Silent
from robench.errors import (
    CheckpointError,
    NewerRecordError,
    StoreError,
    SuiteError,
    UsageError,
)
from robench.spec import Record
from robench.store import SCHEMA_VERSION, Store
from robench.training.checkpoint import Checkpoint

PLUGINS = Path(__file__).parent.parent / "plugins"
STUMBLING, FAULTY = PLUGINS / "stumbling.py", PLUGINS / "faulty.py"


def run(suite: Path, folder: Path, **options) -> robench.Results:
    return robench.run(suite, results=folder, jobs=0, progress=Silent(), **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_second_run_does_nothing(tiny, folder: Path) -> None:
    first = run(tiny(), folder)
    assert not first.failed
    assert first.run.done == len(first.records) == 4  # the start, dense, random, magnitude
    again = run(tiny(), folder)
    assert again.run.done == 0
    assert again.records == first.records


def test_a_wider_suite_does_what_is_new(tiny, folder: Path) -> None:
    before = {record.id for record in run(tiny(), folder).records}
    wider = run(tiny(levels="[0.5, 0.8]"), folder)
    assert wider.run.done == 2
    assert before < {record.id for record in wider.records}


def test_the_dense_start_is_trained_once(tiny, folder: Path) -> None:
    results = run(tiny(levels="[0.5, 0.8]", seeds="2"), folder)
    starts = [record for record in results.records if record.cell.role == "start"]
    assert len(starts) == 2
    children = [r for r in results.records if r.cell.parent is not None]
    assert {r.cell.parent for r in children} == {record.id for record in starts}


def test_failures_stay_until_asked_for(tiny, folder: Path) -> None:
    suite = tiny(methods="[dense]")
    first = run(suite, folder, plugins=[STUMBLING])
    (failure,) = first.failed
    assert run(suite, folder, plugins=[STUMBLING]).run.done == 0
    again = run(suite, folder, plugins=[STUMBLING], retry_failed=True)
    assert again.run.done == 1
    assert again.failed[0].id == failure.id


def test_force_does_a_cell_and_what_hangs_off_it_again(tiny, folder: Path) -> None:
    suite = tiny(evaluate="{degrade: {samples: 10}}")
    first = run(suite, folder)
    (random,) = [
        r for r in first.records if r.cell.stage == "train" and r.cell.method.name == "random"
    ]
    assert run(suite, folder, force=random.id).run.done == 2
    assert run(suite, folder, force="digits").run.done == len(first.records)


def test_only_brings_the_network_that_a_cell_hangs_off(tiny, folder: Path) -> None:
    suite = tiny(evaluate="{degrade: {samples: 10}}")
    results = run(suite, folder, only="degrade*magnitude")
    labels = [record.cell.label.split()[0] for record in results.records]
    assert labels == ["train", "train", "degrade"]
    with pytest.raises(UsageError, match="no cell of the suite matches 'nonsense'"):
        run(suite, folder, only="nonsense")


def test_a_lost_checkpoint_is_trained_again_when_it_is_needed(tiny, folder: Path) -> None:
    first = run(tiny(), folder)
    start = next(record for record in first.records if record.cell.role == "start")
    store = Store(folder)
    store.checkpoint_path(start.id).unlink()
    assert run(tiny(), folder).run.done == 0
    wider = run(tiny(levels="[0.5, 0.8]"), folder)
    assert not wider.failed
    assert wider.run.done == 3


def test_a_truncated_record_is_done_again_and_nothing_else(tiny, folder: Path) -> None:
    first = run(tiny(), folder)
    victim = first.records[-1]
    path = Store(folder).record_path(victim.id)
    path.write_bytes(path.read_bytes()[:50])
    again = run(tiny(), folder)
    assert again.run.done == 1
    assert path.with_suffix(".json.damaged").exists()
    assert [r.metrics[0] for r in again.records] == [r.metrics[0] for r in first.records]


def test_a_truncated_record_of_a_network_costs_none_of_its_evaluations(tiny, folder: Path) -> None:
    suite = tiny(evaluate="{degrade: {samples: 10}}")
    first = run(suite, folder)
    for victim in [r for r in first.records if r.cell.stage == "train"]:
        path = Store(folder).record_path(victim.id)
        path.write_bytes(path.read_bytes()[:50])
        again = run(suite, folder)
        assert again.run.done == 1
        assert [r.status for r in again.records] == [r.status for r in first.records]


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tiny, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        run(tiny(), blocked)


def test_cuda_where_there_is_none_is_refused(tiny, folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(UsageError, match="sees no GPU"):
        run(tiny(), folder, device="cuda")


def test_tabular_data_have_no_degradations(tiny, folder: Path) -> None:
    asked = tiny(data="breast-cancer", evaluate="{degrade: true, trees: {most_rounds: 3}}")
    assert {r.cell.stage for r in run(asked, folder).records} == {"train", "trees"}
    with pytest.raises(SuiteError, match="nothing that the suite evaluates applies to its data"):
        run(tiny(data="breast-cancer", evaluate="[degrade, corrupt]"), folder)


def test_networks_trained_on_noise_are_tested_on_the_others(tiny, folder: Path) -> None:
    suite = tiny(
        methods="[dense]",
        distortions="[none, uniform-noise]",
        evaluate="{degrade: {kinds: [contrast, uniform-noise], samples: 10}}",
    )
    table = run(suite, folder).table()
    tested = table[(table.stage == "degrade") & (table.method == "dense")]
    assert set(tested.training) == {"none", "uniform-noise"}
    assert set(tested.kind) == {"contrast", "uniform-noise"}


# -- weights and their records --------------------------------------------------------------------


def trained(results: robench.Results) -> dict[str, Record]:
    """The records of trained networks by method; ``start`` is what the others start from."""
    return {
        "start" if r.cell.role == "start" else r.cell.method.name: r
        for r in results.records
        if r.cell.stage == "train"
    }


def degraded(results: robench.Results, method: str) -> Record:
    (record,) = [
        r for r in results.records if r.cell.stage == "degrade" and r.cell.method.name == method
    ]
    return record


def test_records_name_the_weights_that_they_speak_of(tiny, folder: Path) -> None:
    results = run(tiny(evaluate="{degrade: {samples: 10}}"), folder)
    networks = trained(results)
    store = Store(folder)
    for record in networks.values():
        checkpoint = Checkpoint.load(store.checkpoint_path(record.id))
        assert record.checkpoint_sha256 == checkpoint.sha256
    random = networks["random"]
    assert degraded(results, "random").inputs == {random.id: random.checkpoint_sha256}
    start = networks["start"]
    assert networks["dense"].inputs == {start.id: start.checkpoint_sha256}


def test_swapped_weights_are_noticed_and_trained_again(tiny, folder: Path) -> None:
    first = trained(run(tiny(), folder))
    store = Store(folder)
    paths = [store.checkpoint_path(first[name].id) for name in ("random", "magnitude")]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not the one that its record speaks of"):
        store.checkpoint(first["random"].id)
    wider = run(tiny(evaluate="{degrade: {samples: 10}}"), folder)
    assert not wider.failed
    assert wider.run.done == 2 + 3
    hashes = [first[name].checkpoint_sha256 for name in ("random", "magnitude")]
    assert [Checkpoint.load(path).sha256 for path in paths] == hashes
    for name in ("random", "magnitude"):
        clean = degraded(wider, name).metric("accuracy", kind="clean", level=0.0)
        if clean is not None:
            assert clean.value == trained(wider)[name].metric("accuracy").value


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_weights_that_were_cut_short_are_trained_again(tiny, folder: Path, share: float) -> None:
    suite = tiny(evaluate="{degrade: {samples: 10}}", methods="[dense]")
    first = run(suite, folder)
    random = trained(first)["random"]
    path = Store(folder).checkpoint_path(random.id)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    again = run(suite, folder, force="degrade*random")
    assert not again.failed
    assert again.run.done == 2
    assert Checkpoint.load(path).sha256 == random.checkpoint_sha256


def test_weights_that_were_changed_within_heal_by_the_next_run(tiny, folder: Path) -> None:
    suite = tiny(evaluate="{degrade: {samples: 10}}", methods="[dense]")
    first = run(suite, folder)
    random = trained(first)["random"]
    path = Store(folder).checkpoint_path(random.id)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    broken = run(suite, folder, force="degrade*random")
    (row,) = broken.failed
    assert (row.status, "is damaged" in row.reason) == ("interrupted", True)
    assert not run(suite, folder).failed
    assert Checkpoint.load(path).sha256 == random.checkpoint_sha256


def test_other_weights_make_evaluations_stale(tiny, folder: Path) -> None:
    suite = tiny(evaluate="{degrade: {samples: 10}}", methods="[dense]")
    first = run(suite, folder)
    store = Store(folder)
    random = trained(first)["random"]
    # Trained again on another machine, a network has weights that differ in their last digits.
    checkpoint = Checkpoint.load(store.checkpoint_path(random.id))
    name = next(iter(checkpoint.weights))
    other = {**checkpoint.weights, name: checkpoint.weights[name] + 1e-3}
    sha256 = replace(checkpoint, weights=other).save(store.checkpoint_path(random.id))
    store.write(random.model_copy(update={"checkpoint_sha256": sha256}))
    again = run(suite, folder)
    assert again.run.done == 1
    assert degraded(again, "random").inputs == {random.id: sha256}


def test_records_without_a_hash_stay(tiny, folder: Path) -> None:
    suite = tiny(evaluate="{degrade: {samples: 10}}")
    first = run(suite, folder)
    store = Store(folder)
    for record in first.records:
        raw = json.loads(record.model_dump_json())
        del raw["inputs"], raw["checkpoint_sha256"]
        store.record_path(record.id).write_text(json.dumps(raw | {"schema_version": 1}))
    assert run(suite, folder).run.done == 0
    wider = run(tiny(evaluate="{degrade: {samples: 20}}"), folder)
    assert (wider.run.done, wider.failed) == (3, ())


# -- records of other versions, and of other suites -----------------------------------------------


def test_newer_records_are_left_alone(tiny, folder: Path) -> None:
    first = run(tiny(), folder)
    path = Store(folder).record_path(first.records[-1].id)
    newer = json.loads(path.read_text()) | {"schema_version": SCHEMA_VERSION + 1, "more": 1}
    path.write_text(json.dumps(newer))
    with pytest.raises(NewerRecordError, match="newer robench"):
        run(tiny(), folder)
    hearing = Hearing()
    other = robench.run(tiny(version="2"), results=folder, jobs=0, progress=hearing)
    assert not other.failed
    assert any("1 records of a newer robench" in text for text in hearing.heard)
    assert json.loads(path.read_text()) == newer


def test_damaged_records_of_other_suites_are_left_alone(tiny, folder: Path) -> None:
    first = run(tiny(), folder)
    path = Store(folder).record_path(first.records[-1].id)
    path.write_text("{")
    run(tiny(version="2"), folder)
    assert path.read_text() == "{"


def test_a_record_under_another_name_is_done_again(tiny, folder: Path) -> None:
    first = trained(run(tiny(), folder))
    store = Store(folder)
    content = store.record_path(first["magnitude"].id).read_bytes()
    store.record_path(first["random"].id).write_bytes(content)
    again = run(tiny(), folder)
    assert again.run.done == 1
    assert trained(again)["random"].metrics[0] == first["random"].metrics[0]


class Hearing(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


# -- limits ---------------------------------------------------------------------------------------


def test_a_limit_holds_in_this_process_too(tiny, folder: Path) -> None:
    suite = tiny(methods="[sleeps]", cell_limit_s="0.7")
    results = run(suite, folder, plugins=[FAULTY], only="sleeps")
    (failure,) = results.failed
    assert failure.status == "over-budget"
    assert "0.7 s" in failure.reason
    assert "time.sleep" in failure.traceback
    assert failure.provenance["wall_s"] < 5


def test_a_run_within_a_worker_is_refused(tiny, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("robench.engine.run.is_worker", lambda: True)
    with pytest.raises(UsageError, match="in a worker process"):
        run(tiny(), folder)

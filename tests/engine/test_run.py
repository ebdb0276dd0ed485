"""What is done again and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import robench
from robench.engine.progress import Silent
from robench.errors import StoreError, UsageError
from robench.store import Store

STUMBLING = Path(__file__).parent.parent / "plugins" / "stumbling.py"


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
    results = run(tiny(data="breast-cancer", evaluate="{degrade: true}"), folder)
    assert {record.cell.stage for record in results.records} == {"train"}


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

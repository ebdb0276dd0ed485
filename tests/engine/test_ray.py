from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import robench
import robench.engine.ray as engine
from robench.engine.context import Setting
from robench.engine.progress import Silent
from robench.engine.worker import Finished, run_cell
from robench.errors import UsageError
from robench.spec import Cell, Record

STUMBLING = Path(__file__).parent.parent / "plugins" / "stumbling.py"
HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_it_says_how_to_get_it(tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Ray is not installed") as caught:
        robench.run(tiny(), results=tmp_path / "r", engine="ray", progress=Silent())
    assert "robench[ray]" in str(caught.value)


class StandIn:
    """What the engine asks of Ray, with threads for workers; notes where each cell was sent."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(2)
        self.sent: list[tuple[str, object, set[str]]] = []
        self.in_flight: set[str] = set()
        strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft))
        self.util = SimpleNamespace(scheduling_strategies=strategies)

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(get_node_id=lambda: "this node")

    def remote(self, **options: object) -> Callable[..., SimpleNamespace]:
        return lambda function: self.task(function, options)

    def task(self, function: Callable[..., Record], options: dict[str, object]) -> SimpleNamespace:
        def send(cell: Cell, setting: Setting) -> SimpleNamespace:
            self.in_flight.add(cell.id)
            self.sent.append((cell.stage, options, set(self.in_flight)))
            future = self.pool.submit(function, cell, setting)
            future.add_done_callback(lambda _: self.in_flight.discard(cell.id))
            return SimpleNamespace(future=lambda: future)

        return SimpleNamespace(
            remote=send, options=lambda **more: self.task(function, {**options, **more})
        )


def test_what_takes_time_runs_here_and_alone(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = StandIn()
    monkeypatch.setattr(engine, "_import_ray", lambda: cluster)
    # State is that of a process, and the stand-in's workers are threads of one.
    monkeypatch.setattr(engine, "_run_prepared", lambda *args: run_cell(*args).record)
    suite = tiny(evaluate="{speed: {batch_sizes: [2], forms: []}, degrade: {samples: 5}}")
    results = robench.run(suite, results=tmp_path / "r", engine="ray", progress=Silent())
    assert {r.status for r in results.records} <= {"ok", "noisy"}
    timed = [(options, beside) for stage, options, beside in cluster.sent if stage == "speed"]
    assert len(timed) == 3
    for options, beside in timed:
        assert options["scheduling_strategy"] == ("this node", False)
        assert len(beside) == 1
    others = [options for stage, options, _ in cluster.sent if stage != "speed"]
    assert all("scheduling_strategy" not in options for options in others)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_records_of_the_local_engine(tiny, tmp_path: Path) -> None:
    options = {"plugins": [STUMBLING], "progress": Silent()}
    local = robench.run(tiny(), results=tmp_path / "a", jobs=0, **options)
    ray = robench.run(tiny(), results=tmp_path / "b", jobs=2, engine="ray", **options)
    assert [(r.id, r.status) for r in ray.records] == [(r.id, r.status) for r in local.records]
    for one, other in zip(local.records, ray.records, strict=True):
        assert one.metric("accuracy") == other.metric("accuracy")


class Forgetful(StandIn):
    """Loses a worker with each second task."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def task(self, function: Callable[..., Record], options: dict[str, object]) -> SimpleNamespace:
        def sometimes(cell: Cell, setting: Setting) -> Record:
            self.count += 1
            if self.count % 2 == 0:
                raise ConnectionError("the node died")
            return function(cell, setting)

        return super().task(sometimes, options)


def test_cells_of_lost_nodes_are_begun_again(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Forgetful()
    cluster.pool = ThreadPoolExecutor(1)
    monkeypatch.setattr(engine, "_import_ray", lambda: cluster)
    monkeypatch.setattr(engine, "_run_prepared", lambda *args: run_cell(*args).record)
    results = robench.run(tiny(), results=tmp_path / "r", engine="ray", progress=Silent())
    assert {record.status for record in results.records} == {"ok"}
    assert cluster.count > len(results.records)


def test_a_worker_that_a_cell_left_changed_does_no_other(make_cell, monkeypatch) -> None:
    cell = make_cell()
    record = Record(id=cell.id, cell=cell, status="ok")
    setting = Setting(results=Path("r"))
    monkeypatch.setattr(engine, "_left_changed", threading.Event())
    monkeypatch.setattr(engine, "_prepare_once", lambda _: None)
    monkeypatch.setattr(engine, "load_data", lambda *_: None)
    answers = iter([True, False])
    monkeypatch.setattr(engine, "run_cell", lambda *_: Finished(record, is_clean=next(answers)))
    assert engine._run_prepared(cell, setting) == record
    assert engine._run_prepared(cell, setting) == record

    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(engine.os, "_exit", end)
    with pytest.raises(SystemExit):
        engine._run_prepared(cell, setting)

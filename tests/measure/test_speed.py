"""A network against its compacted form; the times come from a sampler of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.errors import InputError
from robench.measure import speed
from robench.measure.latency import LatencySample
from robench.measure.speed import measure_speed


def network(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 2)).eval()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces the sampler: the original takes 4 ms, the compacted 1 ms; a batch of 3 is noisy."""
    sizes: list[int] = []

    def sample(calls: Mapping[str, Callable[[], Any]], **_: object) -> LatencySample:
        logits = {name: call() for name, call in calls.items()}
        sizes.append(len(logits["original"]))
        noise = np.ones((15, 2))
        noise[::2] += 1.0 if sizes[-1] == 3 else 0.0
        seconds = {"original": 4e-3 * noise, "compacted": 1e-3 * noise}
        return LatencySample(seconds, {"original": 1, "compacted": 2})

    monkeypatch.setattr(speed, "sample_latency", sample)
    return sizes


def test_report_holds_time_operations_and_bytes(seen: list[int]) -> None:
    report = measure_speed(network(8), network(2), torch.rand(5, 4), batch_sizes=(1, 12))
    assert seen == [1, 12]
    assert [batch.batch_size for batch in report.batches] == [1, 12]
    batch = report.batches[0]
    assert batch.original.median_ms == pytest.approx(4.0)
    assert batch.compacted.calls_per_repeat == 2
    assert batch.speed_up.value == pytest.approx(4.0)
    assert report.status == batch.status == "ok"
    assert (report.original.macs, report.compacted.macs) == (48, 12)
    assert report.macs_ratio == 4.0
    assert report.bytes_ratio == pytest.approx((48 + 10) / (12 + 4))
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["macs_ratio"] == 4.0
    assert plain["batches"][1]["speed_up"]["value"] == pytest.approx(4.0)


def test_one_noisy_batch_size_makes_the_report_noisy(seen: list[int]) -> None:
    report = measure_speed(network(8), network(2), torch.rand(5, 4), batch_sizes=(1, 3))
    assert [batch.status for batch in report.batches] == ["ok", "noisy"]
    assert report.status == report.to_json()["status"] == "noisy"


def test_a_batch_repeats_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[Tensor] = []

    class Remembering(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            batches.append(rows.clone())
            return super().forward(rows)

    example = torch.arange(8.0).reshape(2, 4)
    measure_speed(Remembering(4, 2).eval(), network(1), example, batch_sizes=(5,))
    assert torch.equal(batches[-1], example[[0, 1, 0, 1, 0]])


def test_a_network_of_zeros_has_no_theoretical_ratio(seen: list[int]) -> None:
    model = network(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert measure_speed(model, model, torch.rand(1, 4)).macs_nonzero_ratio is None


def test_it_runs_for_real_and_leaves_the_networks_alone() -> None:
    model, compacted = network(64), network(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = measure_speed(model, compacted, torch.rand(2, 4), batch_sizes=(2,))
    (batch,) = report.batches
    assert batch.original.repeats == 30
    assert 0 < batch.speed_up.low <= batch.speed_up.value <= batch.speed_up.high
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.gpu
def test_it_runs_on_a_gpu() -> None:
    report = measure_speed(network(64), network(8), torch.rand(2, 4), "cuda", batch_sizes=(2,))
    assert report.device.startswith("cuda")
    assert report.batches[0].speed_up.value > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "abacus"}, "'abacus' is no device"),
        ({"batch_sizes": (0,)}, "a batch of 0"),
        ({"repeats": 3}, "3 repeats"),
        ({"example": torch.rand(2, 9)}, r"\(1, 9\)"),
        ({"model": network(3).train()}, "training mode"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    usual = {"model": network(3), "compacted": network(2), "example": torch.rand(2, 4)}
    with pytest.raises(InputError, match=words):
        measure_speed(**{**usual, **arguments})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="cuda"):
        measure_speed(network(3), network(2), torch.rand(2, 4), "cuda")

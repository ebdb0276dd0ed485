"""A network against its compacted form; the times come from a sampler of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from robench.errors import InputError
from robench.measure import speed
from robench.measure.latency import LatencySample, Stopwatch
from robench.measure.speed import measure_speed, saturating_batch
from tests.networks import linear_layers


def network(hidden: int) -> nn.Module:
    return linear_layers(4, hidden, 2)


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
    report = measure_speed(
        network(64), network(8), torch.rand(2, 4), "cuda", batch_sizes=(2,), ways=("captured",)
    )
    assert report.device.startswith("cuda")
    assert report.batches[0].speed_up.value > 0
    (captured,) = report.forms["captured"]
    # A graph is launched once, where eager calls launch each kernel.
    assert captured.original.median_ms < report.batches[0].original.median_ms


def test_other_forms_stand_apart(seen: list[int]) -> None:
    model = network(8)
    report = measure_speed(
        model,
        network(2),
        torch.rand(5, 4),
        batch_sizes=(1, 12),
        ways=("captured",),
        pairs={"wide": (model, network(32)), "slow": (model, network(3))},
    )
    assert seen == [1, 12, 1, 12, 1, 12]
    assert [batch.batch_size for batch in report.forms["wide"]] == [1, 12]
    assert list(report.forms) == ["wide", "slow"]
    assert report.notes == {"captured": "there are no CUDA graphs on the CPU"}
    assert report.compacted.parameters == 2 * 5 + 2 * 3
    assert len(json.loads(json.dumps(report.to_json()))["forms"]["wide"]) == 2


def test_a_noisy_form_leaves_the_report_be(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = iter([1.0, 3.0])

    def sample(calls: Mapping[str, Callable[[], Any]], **_: object) -> LatencySample:
        seconds = np.ones((15, 2))
        seconds[::2] *= next(samples)
        return LatencySample(dict.fromkeys(calls, seconds), dict.fromkeys(calls, 1))

    monkeypatch.setattr(speed, "sample_latency", sample)
    pairs = {"other": (network(2), network(2))}
    report = measure_speed(network(2), network(2), torch.rand(1, 4), batch_sizes=(1,), pairs=pairs)
    assert report.status == "ok"
    assert report.forms["other"][0].status == "noisy"


@pytest.mark.parametrize(("overhead", "expected"), [(0, 1), (9, 64), (60, 256)])
def test_a_batch_saturates_where_doubling_gains_nothing(
    overhead: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call costs `overhead` and 1 an input; from 512 inputs on, 1.2 each, as out of the cache.

    The best rate is 256 / (256 + overhead); with an overhead of 9, 64 / 73 is within 10 % of it.
    """
    now = [0.0]

    class Costly(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            now[0] += overhead + len(rows) * (1.2 if len(rows) >= 512 else 1.0)
            return rows

    monkeypatch.setattr(speed, "stopwatch_for", lambda _: Stopwatch(lambda: now[0]))
    assert saturating_batch(Costly().eval(), torch.rand(3, 4)) == expected


def test_a_busy_machine_is_not_asked_for_more(seen: list[int]) -> None:
    pairs = {"other": (network(2), network(2))}
    report = measure_speed(
        network(8), network(2), torch.rand(5, 4), batch_sizes=(1, 3), pairs=pairs
    )
    assert seen == [1, 3]
    assert report.forms == {}
    assert report.notes == {"other": "not timed: the machine is too busy"}


def test_no_batch_is_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Free(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            sizes.append(len(rows))
            return rows

    monkeypatch.setattr(speed, "stopwatch_for", lambda _: Stopwatch(lambda: float(len(sizes))))
    assert saturating_batch(Free().eval(), torch.rand(3, 4), largest=32) == 32
    assert max(sizes) == 32


def test_a_saturating_batch_may_be_asked_for(
    seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "saturating_batch", lambda *_: 16)
    report = measure_speed(network(8), network(2), torch.rand(5, 4), batch_sizes=(1, "saturating"))
    assert [batch.batch_size for batch in report.batches] == [1, 16]


class Pair(nn.Linear):
    """Answers with two tensors."""

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(rows), rows


class OfThree(nn.Linear):
    """Takes batches of its own size alone."""

    def forward(self, rows: Tensor) -> Tensor:
        assert len(rows) in (1, 3), "three at most"
        return super().forward(rows)


def pruned() -> nn.Module:
    model = network(3)
    prune.random_unstructured(model[0], "weight", 0.5)
    return model


def partly_training() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 2), nn.Dropout()).eval()
    model[1].train()
    return model


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "abacus"}, "'abacus' is no device"),
        ({"device": None}, "None is no device"),
        ({"device": "meta"}, "nothing is timed on 'meta'"),
        ({"device": "cuda:99"}, "there is no 'cuda:99' here"),
        ({"batch_sizes": (0,)}, "a batch of 0 inputs"),
        ({"batch_sizes": (-4,)}, "a batch of -4 inputs"),
        ({"batch_sizes": (True,)}, "a batch of True inputs"),
        ({"batch_sizes": (2.5,)}, "a batch of 2.5 inputs"),
        ({"batch_sizes": (None,)}, "a batch of None inputs"),
        ({"batch_sizes": (torch.tensor(2),)}, "a batch of tensor"),
        ({"batch_sizes": (10**30,)}, "from 1 to 1,000,000,000"),
        ({"batch_sizes": (10**9,), "example": torch.rand(1, 4)}, "GiB of activations"),
        ({"batch_sizes": ("big",)}, "'big' is no batch size"),
        ({"batch_sizes": "saturating"}, "batch_sizes='saturating'"),
        ({"batch_sizes": 8}, "batch_sizes=8"),
        ({"batch_sizes": None}, "batch_sizes=None"),
        ({"batch_sizes": ()}, "no batch size to time"),
        ({"repeats": 3}, "3 repeats"),
        ({"repeats": "40"}, "'40' repeats"),
        ({"repeats": True}, "True repeats"),
        ({"repeats": 10**9}, "from 30 to 100,000"),
        ({"example": torch.rand(2, 9)}, r"\(1, 9\)"),
        ({"example": torch.rand(0, 4)}, r"shape \(0, 4\)"),
        ({"example": torch.tensor(1.0)}, r"shape \(\)"),
        ({"example": np.zeros((2, 4), np.float32)}, r"torch\.from_numpy"),
        ({"example": [[1.0, 2.0, 3.0, 4.0]]}, "the example is a list"),
        ({"example": torch.rand(2, 4).double()}, "does not take an example"),
        ({"example": torch.rand(2, 4, device="meta")}, "on the meta device"),
        ({"example": torch.eye(4).to_sparse()}, "sparse_coo"),
        ({"model": network(3).train()}, "training mode"),
        ({"model": partly_training()}, "'1' of Sequential is in training mode"),
        ({"compacted": network(2).train()}, "training mode"),
        ({"model": len}, "model is a builtin"),
        ({"compacted": None}, "compacted is a NoneType"),
        ({"model": Pair(4, 2).eval()}, "returns a tuple"),
        ({"compacted": Pair(4, 2).eval()}, "returns a tuple"),
        ({"compacted": nn.Linear(4, 3).eval()}, r"\(1, 2\) and \(1, 3\) numbers"),
        ({"model": OfThree(4, 2).eval(), "batch_sizes": (4,)}, "three at most"),
        ({"model": nn.Bilinear(4, 4, 2).eval()}, "missing 1 required positional"),
        ({"model": pruned()}, r"prune\.remove"),
        ({"ways": "compiled"}, "ways='compiled'"),
        ({"ways": ("traced",)}, "no execution mode 'traced'"),
        ({"ways": None}, "ways=None"),
        ({"pairs": [network(2)]}, "pairs="),
        ({"pairs": {"one": network(2)}}, "the pair 'one'"),
        ({"pairs": {"one": (network(2), network(2).train())}}, "training mode"),
        ({"pairs": {"captured": (network(2),) * 2}, "ways": ("captured",)}, "both called"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], words: str, seen: list[int]) -> None:
    """Each says what is allowed, or what to do, and nothing was timed before."""
    usual = {"model": network(3), "compacted": network(2), "example": torch.rand(2, 4)}
    with pytest.raises(InputError, match=words) as caught:
        measure_speed(**{**usual, **arguments})
    assert caught.value.allowed or caught.value.hint
    assert not seen


def test_whole_numbers_of_numpy_are_sizes_too(seen: list[int]) -> None:
    sizes = [np.int64(2), np.uint8(5)]
    report = measure_speed(network(3), network(2), torch.rand(2, 4), batch_sizes=sizes)
    assert [type(batch.batch_size) for batch in report.batches] == [int, int]
    assert seen == [2, 5]


def test_what_was_not_counted_is_told(seen: list[int]) -> None:
    class Turned(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            return super().forward(torch.fft.fft(rows).real)

    model = Turned(4, 2).eval()
    report = measure_speed(model, nn.Linear(4, 2).eval(), torch.rand(1, 4), batch_sizes=(1,))
    assert report.notes == {
        "operations of the original network": "not counted: _fft_r2c (called 1 ×)"
    }
    assert json.loads(json.dumps(report.to_json()))["original"]["uncounted"] == {"_fft_r2c": 1}


@pytest.mark.parametrize("example", [torch.rand(0, 4), np.zeros((1, 4)), torch.rand(1, 5)])
def test_a_saturating_batch_needs_an_example(example: Any) -> None:
    with pytest.raises(InputError):
        saturating_batch(network(2), example)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="cuda"):
        measure_speed(network(3), network(2), torch.rand(2, 4), "cuda")

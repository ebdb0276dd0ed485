"""Single convolutions at published sparsities: what is timed, and what a record then says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import robench
from robench.engine.plan import plan
from robench.engine.progress import Silent
from robench.measure.latency import LatencySample
from robench.reference.wen2016 import CONVOLUTIONS, ENTRIES, Convolution
from robench.spec import Cell, load_suite
from robench.stages.base import Context, Outcome
from robench.stages.layers import layers, sparse_convolution

MODULE = sys.modules[layers.__module__]  # its name is taken by the stage itself
SMALL = (
    Convolution("conv1", 12, 6, 3, 9, stride=2, padding=1, groups=2),
    *CONVOLUTIONS[1:],
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def cell(row: int, layer: str = "conv1", batch_size: int = 2) -> Cell:
    (found,) = (
        one
        for one in plan(load_suite("alexnet-speed"), device="cpu")
        if (one.options["row"], one.options["layer"], one.options["batch_size"]) == (row, layer, 1)
    )
    return found.model_copy(update={"options": {**found.options, "batch_size": batch_size}})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"row {entry.row}")
@pytest.mark.parametrize("place", range(5))
def test_there_are_as_many_zeros_as_published(entry, place: int) -> None:
    shape = CONVOLUTIONS[place]
    conv, kept = sparse_convolution(shape, entry, generator())
    groups = conv.weight.detach().view(shape.groups, shape.filters // shape.groups, -1)
    dead_rows = int((groups == 0).all(2).sum())
    published = round(shape.filters * entry.rows[place] / 100)
    # Groups lose as many rows each, so that an odd one stays.
    assert published - shape.groups < dead_rows <= published
    assert dead_rows == int((~kept).sum())
    assert torch.equal(kept, (groups != 0).any(2).flatten())
    if entry.method == "ssl":
        dead_columns = (groups == 0).all(1).float().mean(1)
        assert dead_columns.numpy() == pytest.approx(entry.columns[place] / 100, abs=1e-3)
    zeros = float((conv.weight == 0).float().mean())
    assert zeros == pytest.approx(entry.zeros(place), abs=2e-3)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch):
    """``timed(row, seconds)``: the outcome of a small layer, and what was timed."""

    def run(row: int, seconds: dict[str, float], noise: float = 0.0) -> tuple[Outcome, dict]:
        seen: dict = {}

        def sample(calls, **options) -> LatencySample:
            seen.update({name: call() for name, call in calls.items()}, options=options)
            spread = 1 + noise * np.linspace(-1, 1, 30).reshape(15, 2)
            taken = {name: seconds.get(name, 1e-3) * spread for name in calls}
            return LatencySample(taken, dict.fromkeys(calls, 1))

        monkeypatch.setattr(MODULE, "CONVOLUTIONS", SMALL)
        monkeypatch.setattr(MODULE, "sample_latency", sample)
        context = Context(
            load=lambda: pytest.fail("no data are needed"), device=torch.device("cpu")
        )
        return layers(cell(row), context), seen

    return run


@pytest.mark.parametrize("row", [1, 2])
def test_all_forms_compute_the_same_convolution(timed, row: int) -> None:
    outcome, seen = timed(row, {})
    dense: Tensor = seen["dense"]
    assert dense.shape == (2, 12, 5, 5)
    generator_ = torch.Generator().manual_seed(cell(row).seed_for("evaluate"))
    (entry,) = (entry for entry in ENTRIES if entry.row == row)
    conv, kept = sparse_convolution(SMALL[0], entry, generator_)
    maps = torch.rand(2, 6, 9, 9, generator=generator_)
    expected = F.conv2d(maps, conv.weight, stride=2, padding=1, groups=2)
    torch.testing.assert_close(dense, expected)
    torch.testing.assert_close(seen["sparse"], expected[:, kept])
    for name, rows in (("dense product", slice(None)), ("sparse product", kept)):
        product = torch.cat([part.to_dense() for part in seen[name]])
        assert product.shape[1] == 2 * 5 * 5
        found = product.view(-1, 2, 5, 5).transpose(0, 1)
        torch.testing.assert_close(found, expected[:, rows])
    forms = {1: ("csr", "scattered"), 2: ("dense", "gathered", "cropped", "direct")}
    assert outcome.details["form"] in forms[row]


def test_figures_are_of_whole_layers_and_of_products(timed) -> None:
    seconds = {"dense": 8e-3, "sparse": 4e-3, "dense product": 6e-3, "sparse product": 1e-3}
    outcome, seen = timed(2, seconds)
    assert seen["options"]["repeats"] == 30
    speedups = {
        metric.condition["measure"]: metric.value
        for metric in outcome.metrics
        if metric.name == "speedup"
    }
    assert speedups == pytest.approx({"layer": 2.0, "product": 6.0})
    latencies = {
        (metric.condition["measure"], metric.condition["network"]): metric.value
        for metric in outcome.metrics
        if metric.name == "latency_ms"
    }
    assert latencies == pytest.approx(
        {("layer", "dense"): 8, ("layer", "sparse"): 4,
         ("product", "dense"): 6, ("product", "sparse"): 1}
    )  # fmt: skip
    assert {m.condition["batch_size"] for m in outcome.metrics if m.condition} == {2}
    assert outcome.status == "ok"


def test_noisy_figures_are_left_out(timed) -> None:
    outcome, _ = timed(2, {}, noise=0.3)
    assert outcome.status == "noisy"
    assert [metric.name for metric in outcome.metrics] == ["level_achieved"]
    assert outcome.details["noise"] == pytest.approx(0.3, abs=0.02)


@pytest.mark.slow
def test_a_layer_is_timed_for_real(tmp_path) -> None:
    results = robench.run(
        "alexnet-speed", results=tmp_path, jobs=0, only="layers*conv3 ssl[row=2]",
        progress=Silent(),
    )  # fmt: skip
    for record in results.records:
        assert record.status in ("ok", "noisy")
        for metric in record.metrics:
            if metric.name == "speedup":
                assert metric.low <= metric.value <= metric.high
                assert metric.value > 1

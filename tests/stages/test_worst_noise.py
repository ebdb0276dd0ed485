"""The stage of the worst noise: what the record says against what lies beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import robench
from robench.data import load
from robench.data.base import to_float
from robench.engine.progress import Silent
from robench.errors import SuiteError
from robench.models import build
from robench.spec import Record, seed_for
from robench.training.checkpoint import Checkpoint
from robench.training.noise_level import data_set_rms
from robench.training.worst_noise import noise_for

SAMPLES = 30
EVALUATE = "{worst_noise: {samples: 30, steps: 15, generator: adversarial-noise-3x3}}"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> robench.Results:
    path = tmp_path_factory.mktemp("noise") / "noise.yaml"
    path.write_text(
        "name: noise\nversion: 1\ndata: digits\nmodels: [{name: mlp, widths: [24]}]\n"
        "methods: [dense]\nlevels: [0.5]\nseeds: 1\n"
        f"recipe: {{dense_steps: 60, sparse_steps: 20}}\nevaluate: {EVALUATE}\n"
    )
    return robench.run(path, results=path.parent / "r", jobs=0, progress=Silent())


@pytest.fixture(scope="module")
def record(results: robench.Results) -> Record:
    [found] = [
        each
        for each in results.records
        if (each.cell.stage, each.cell.method.name) == ("worst_noise", "dense")
    ]
    assert found.status == "ok"
    return found


def test_medians_are_over_the_images_that_are_classified_correctly(results, record) -> None:
    arrays = results.run.store.arrays(record.id)
    for name in ("worst", "white"):
        distance = arrays[f"distance_{name}"]
        metric = record.metric(f"{name}_noise_l2")
        assert len(distance) == SAMPLES
        assert metric.n == int((distance > 0).sum())
        assert metric.value == pytest.approx(float(np.median(distance[distance > 0])))
        assert metric.low <= metric.value
    # The network is wrong without noise on the same images, whatever the noise.
    assert ((arrays["distance_worst"] == 0) == (arrays["distance_white"] == 0)).all()


def test_distances_can_be_checked_by_anyone(results, record) -> None:
    store = results.run.store
    arrays, data = store.arrays(record.id), load("digits")
    model = build(
        "mlp",
        input_shape=data.input_shape,
        classes=10,
        mean=data.mean,
        std=data.std,
        params={"widths": [24]},
    )
    model.load_state_dict(dict(Checkpoint.load(store.checkpoint_path(record.cell.parent)).weights))
    test = data.test.first(SAMPLES)
    images = to_float(test.images)
    noise = noise_for(images, test.index, seed_for(record.cell.seed_for("evaluate"), "noise"))
    distance = torch.from_numpy(arrays["distance_white"])
    found = distance.isfinite() & (distance > 0)
    assert found.any()
    low, high = torch.zeros(len(images)), torch.full((len(images),), 400.0)
    for _ in range(60):  # how much noise that distance is, by bisection
        middle = (low + high) / 2
        reached = ((images + middle.view(-1, 1, 1, 1) * noise).clamp(0, 1) - images).flatten(1)
        is_beyond = reached.double().norm(dim=1) > distance
        low, high = torch.where(is_beyond, low, middle), torch.where(is_beyond, middle, high)
    for factor, is_right in ((0.999, True), (1.001, False)):
        shown = (images + factor * high.view(-1, 1, 1, 1) * noise).clamp(0, 1)
        with torch.no_grad():
            answers = model.eval()(shown).argmax(1)
        assert ((answers == test.labels)[found] == is_right).float().mean() > 0.9


def test_the_record_tells_what_was_done(record) -> None:
    assert record.details["generator"] == "adversarial-noise-3x3"
    rms = data_set_rms(load("digits").train.images)
    assert (record.details["steps"], record.details["rms"]) == (15, rms)
    accuracy = record.metric("accuracy", noise="white", noise_rms=rms)
    assert accuracy.n == SAMPLES
    for counted in record.details["noise"].values():
        assert (counted["noisy_images"], counted["noise_rms"]) == (SAMPLES, rms)
        assert (counted["blank_share"], counted["short_share"]) == (0, 0)
    names = [flag["name"] for flag in record.details["flags"]]
    assert names == ["noise-blanks", "noise-short"]
    assert not any(flag["raised"] for flag in record.details["flags"])


def test_a_network_trained_on_it_says_how_long_the_noise_was(tiny, tmp_path) -> None:
    suite = tiny(
        methods="[dense]",
        recipe="{dense_steps: 4, sparse_steps: 4, batch_size: 20}",
        distortions="[none, {kind: adversarial-noise, clean_share: 0.5}]",
        evaluate="{}",
    )
    results = robench.run(suite, results=tmp_path / "r", jobs=0, progress=Silent())
    trained = [r for r in results.records if r.cell.stage == "train" and r.cell.role == "result"]
    noisy = [r for r in trained if r.cell.recipe.distortion is not None]
    assert noisy
    for record in noisy:
        noise = record.details["noise"]
        assert noise["noise_rms"] == data_set_rms(load("digits").train.images)
        assert noise["noisy_images"] > 20
        assert [flag["name"] for flag in record.details["flags"]] == ["noise-blanks", "noise-short"]
    assert not [r for r in trained if r not in noisy and "noise" in r.details]


def test_only_images_are_shown_noise(tmp_path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(
        "name: t\nversion: 1\ndata: breast-cancer\nmodels: [{name: mlp, widths: [4]}]\n"
        f"methods: [dense]\nlevels: [0.5]\nseeds: 1\nevaluate: {EVALUATE}\n"
    )
    from robench.engine.plan import plan

    with pytest.raises(SuiteError, match="worst_noise: it is about images of classes") as caught:
        plan(robench.load_suite(path))
    assert caught.value.where == f"{path}:8"


@pytest.mark.parametrize("change", ["rms: 0", "rms: 1.5", "steps: 0", "generator: perlin"])
def test_options_out_of_range_are_refused(change: str, tmp_path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: t\nversion: 1\ndata: digits\nmodels: [mlp]\nmethods: [dense]\n"
        f"evaluate: {{worst_noise: {{{change}}}}}\n"
    )
    with pytest.raises(SuiteError, match=change.split(":")[0]):
        robench.load_suite(path)

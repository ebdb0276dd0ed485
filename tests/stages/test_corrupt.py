"""Common corruptions through a whole run: generated, stored, and where something is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import robench
from robench.data import load
from robench.degradations.corruptions import COMMON, CORRUPTIONS, corrupt
from robench.engine.plan import plan
from robench.engine.progress import Silent
from robench.errors import SuiteError, UnknownNameError
from robench.models import build
from robench.reference.hendrycks2019 import ALEXNET_ERRORS
from robench.spec import Metric, Record
from robench.stages import corrupt as stage
from robench.stages.corrupt import _summary, resolve
from robench.stages.declarations.corrupt import CorruptOptions, ResolvedCorruptOptions
from robench.training.checkpoint import Checkpoint
from robench.training.evaluate import predict


@pytest.fixture
def run(tiny, tmp_path: Path):
    """``run("{samples: 20}")``: the corrupt record of the dense network, and the results."""

    def runner(options: str, **changes: str) -> tuple[Record, robench.Results]:
        suite = tiny(evaluate=f"{{corrupt: {options}}}", **changes)
        results = robench.run(suite, results=tmp_path / "r", jobs=0, progress=Silent())
        records = [r for r in results.records if r.cell.stage == "corrupt"]
        return next(r for r in records if r.cell.method.name == "dense"), results

    return runner


def test_generated_images(run) -> None:
    record, results = run("{kinds: [contrast, gaussian-noise, spatter], samples: 30}")
    assert record.status == "ok"
    arrays = results.run.store.arrays(record.id)
    origin = "generated, constants of CIFAR-10-C"
    assert record.details["left_out"] == {"spatter": "robench has no code of its own for it"}
    assert record.details["kinds"] == {"shown": 2, "common_shown": 2, "common": 15}
    for place, name in enumerate(record.details["conditions"]):
        kind, severity = name.split()
        condition = {"kind": kind, "severity": float(severity), "images": origin}
        accuracy = record.metric("accuracy", **condition)
        assert accuracy.value == (arrays["answers"][place] == arrays["label"]).mean()
        assert accuracy.n == 30
        confusion = arrays["confusion"][place]
        assert confusion.sum() == 30
        assert confusion.trace() == round(accuracy.value * 30)
        assert 0 <= record.metric("response_entropy_bits", **condition).value <= np.log2(10)
    errors = [1 - m.value for m in record.metrics if m.name == "accuracy" and m.condition]
    mean = record.metric("corrupted_error", images=origin, kinds=2)
    assert mean.value == pytest.approx(np.mean(errors))
    assert record.metric("accuracy_clean") is not None
    assert not [m for m in record.metrics if "mce" in m.name]
    areas = [m for m in record.metrics if m.name == "accuracy_area"]
    assert {m.condition["kind"] for m in areas} == {"contrast", "gaussian-noise"}


def test_small_images_go_through_all_fifteen(run) -> None:
    record, _ = run("{severities: [3], samples: 6}", methods="[dense]")
    assert record.status == "ok"
    assert record.details["left_out"] == {}
    assert record.details["kinds"] == {"shown": 15, "common_shown": 15, "common": 15}
    mean = record.metric("corrupted_error", images="generated, constants of CIFAR-10-C", kinds=15)
    assert mean is not None
    # One severity beside the clean image makes no curve.
    assert not [m for m in record.metrics if m.name in ("accuracy_area", "level_at_half_accuracy")]


def test_the_images_are_those_of_the_public_function(run, monkeypatch) -> None:
    seen = []

    def watched(images, kind, severity, **how):
        shown = corrupt(images, kind, severity, **how)
        seen.append((kind, severity, shown))
        return shown

    monkeypatch.setattr(stage.corruptions, "corrupt", watched)
    record, _ = run("{kinds: shot-noise, severities: [4], samples: 11}")
    test = load("digits").test.first(11)
    own = record.cell.seed_for("evaluate")
    want = corrupt(test.images / 255, "shot-noise", 4, own, test.index, "cifar-10-c")
    # Three networks were shown them: the images were made once.
    assert [(kind, severity) for kind, severity, _ in seen] == [("shot-noise", 4)]
    np.testing.assert_allclose(seen[0][2] / 255, want, atol=1e-6)


def options_of(data: str, **asked: object) -> ResolvedCorruptOptions:
    return resolve(CorruptOptions(**asked), load(data), None)


def test_what_is_resolved() -> None:
    common = options_of("digits")
    assert common.constants == "cifar-10-c"
    assert common.kinds == COMMON
    assert not common.left_out
    assert set(common.made_by) == {"native", "pillow"}
    every = options_of("digits", kinds="all", severities=(2, 3))
    assert {*every.kinds, *every.left_out} == set(CORRUPTIONS)
    assert "no colour" in every.left_out["saturate"]
    assert every.severities == (2, 3)
    with pytest.raises(UnknownNameError, match="snoww"):
        options_of("digits", kinds=("snoww",))
    library = options_of("digits", constants="imagenet-c")
    assert library.origin == "generated, constants of ImageNet-C"
    assert set(library.kinds) == set(COMMON)
    assert "imagecorruptions-imaug" in library.made_by


def test_without_the_package_the_row_says_what_to_install(run, monkeypatch) -> None:
    monkeypatch.setitem(resolve.__globals__, "library_versions", dict)
    record, results = run("{constants: imagenet-c, samples: 10}")
    assert record.status == "failed"
    assert "pip install imagecorruptions-imaug" in record.reason
    assert record.traceback is None
    assert {r.status for r in results.records if r.cell.stage == "train"} == {"ok"}


def test_images_that_bear_no_corruption_are_no_failure(run) -> None:
    record, _ = run("{kinds: spatter, samples: 10}")
    assert record.status == "not-applicable"
    assert "spatter: robench has no code of its own for it" in record.reason


def test_stored_files_that_are_missing(run) -> None:
    record, _ = run("{images: stored}")
    assert record.status == "failed"
    assert "no ready-made corrupted images of 'digits'" in record.reason
    assert record.traceback is None


def test_stored_files(tmp_path: Path, monkeypatch, tiny) -> None:
    """MNIST-C for data that looks like MNIST: the answers are those to the files' images."""
    from robench.data import corrupted

    monkeypatch.setattr(
        corrupted, "_SETS", (*corrupted._SETS, ("digits", dict(corrupted._SETS)["mnist"]))
    )
    test = load("digits").test
    own = test.index.numpy()
    order = np.argsort(own)
    monkeypatch.setattr(
        corrupted, "_rows", lambda split, *_: np.searchsorted(own[order], split.index.numpy())
    )
    for kind in ("zigzag", "fog", "identity"):
        folder = tmp_path / "data" / "mnist_c" / kind
        folder.mkdir(parents=True)
        images = test.images.numpy()[order].transpose(0, 2, 3, 1)
        np.save(folder / "test_images.npy", images if kind == "identity" else 255 - images)
        np.save(folder / "test_labels.npy", test.labels.numpy()[order])
    suite = tiny(evaluate="{corrupt: {images: stored, samples: 25}}")
    results = robench.run(
        suite, results=tmp_path / "r", jobs=0, progress=Silent(), data=tmp_path / "data"
    )
    (record,) = (
        r for r in results.records if r.cell.stage == "corrupt" and r.cell.method.name == "dense"
    )
    assert (record.status, record.reason) == ("ok", None)
    assert record.cell.options["kinds"] == ["fog", "zigzag"]
    assert record.details["origin"] == "files of MNIST-C"
    # One strength makes no curve: neither an area under it, nor a level at half accuracy.
    names = {metric.name for metric in record.metrics}
    assert names == {"accuracy_clean", "accuracy", "response_entropy_bits", "corrupted_error"}
    arrays = results.run.store.arrays(record.id)
    assert arrays["answers"].shape == (2, 25)
    assert (arrays["answers"][0] == arrays["answers"][1]).all()
    assert (arrays["label"] == test.labels[:25].numpy()).all()
    cell = record.cell
    network = build(
        cell.model.name,
        input_shape=(1, 32, 32),
        classes=10,
        mean=load("digits").mean,
        std=load("digits").std,
        params=cell.model.params,
        seed=1,
    )
    Checkpoint.load(results.run.store.checkpoint_path(cell.parent)).apply_to(network)
    want = predict(network, 255 - test.images[:25]).argmax(1)
    assert (arrays["answers"][0] == want.numpy()).all()


def test_a_misspelt_option_names_its_line(tiny) -> None:
    with pytest.raises(SuiteError, match="severity"):
        robench.load_suite(tiny(evaluate="{corrupt: {severity: 3}}"))
    with pytest.raises(SuiteError, match="6"):
        robench.load_suite(tiny(evaluate="{corrupt: {severities: [6]}}"))


def test_stored_files_are_part_of_the_id(tiny, monkeypatch) -> None:
    def ids() -> set[str]:
        suite = robench.load_suite(tiny(evaluate="[corrupt]"))
        return {cell.id for cell in plan(suite) if cell.stage == "corrupt"}

    before = ids()
    assert before == ids()
    monkeypatch.setitem(resolve.__globals__, "NATIVE_VERSION", 99)
    assert not before & ids()


def summary(errors: dict[str, float], origin: str, classes: int) -> dict[str, Metric]:
    class Data:
        pass

    data = Data()
    data.classes = tuple(map(str, range(classes)))
    options = ResolvedCorruptOptions(
        origin=origin, images="stored", kinds=tuple(errors), severities=(1, 2, 3, 4, 5)
    )
    clean = Metric.share("accuracy_clean", 7, 10)
    return {metric.name: metric for metric in _summary(errors, clean, options, data)}


def test_mce_only_of_all_of_imagenet_c() -> None:
    errors = {kind: 0.5 * error for kind, error in ALEXNET_ERRORS.items()}
    whole = summary(errors, "files of ImageNet-C", 1000)
    assert whole["mce"].value == pytest.approx(0.5)
    assert whole["mce"].condition == {"images": "files of ImageNet-C", "reference": "AlexNet"}
    want = np.mean([(e / 2 - 0.3) / (e - 0.43478) for e in ALEXNET_ERRORS.values()])
    assert whole["relative_mce"].value == pytest.approx(want)
    assert set(summary(errors, "files of ImageNet-C", 16)) == {"corrupted_error"}
    assert set(summary(errors, "generated, constants of ImageNet-C", 1000)) == {"corrupted_error"}
    del errors["snow"]
    assert set(summary(errors, "files of ImageNet-C", 1000)) == {"corrupted_error"}

"""The attack stage: what is stored, by which conventions, and guests beside a frozen suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import robench
from robench.attacks import ATTACKS, Attack
from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.evaluation import metrics
from robench.attacks.suite import suites
from robench.attacks.suite.suites import AttackSuite, Member
from robench.data import load
from robench.data.base import to_float
from robench.engine.context import Setting, context_of
from robench.engine.progress import Silent
from robench.errors import ParameterError, StoreError, SuiteError, UnknownNameError, UsageError
from robench.spec import Record, load_suite
from robench.stages.network import trained_network
from robench.store import Store

SUITE = """\
name: pushed
version: 1
data: digits
models: [{name: mlp, widths: [16]}]
methods: [dense]
levels: [0.5]
seeds: 1
recipe: {dense_steps: 60, sparse_steps: 60}
evaluate:
  attack: {suite: l2-smoke, samples: 24, extra: [{name: ddn, steps: 60}]}
"""
GUESTS = '''\
from robench import Attack


class Lazy(Attack):
    """Finds nothing."""

    name = "lazy-guest"

    def run(self, oracle):
        return oracle.images


class Faulty(Attack):
    """Raises."""

    name = "faulty-guest"

    def run(self, oracle):
        raise RuntimeError("no idea")


class Unable(Attack):
    """Cannot even be made."""

    name = "unable-guest"

    def __init__(self, **params):
        super().__init__(**params)
        from robench.errors import PluginError

        raise PluginError("it needs a package that is not there")

    def run(self, oracle):
        return oracle.images
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pushed")
    (folder / "pushed.yaml").write_text(SUITE)
    (folder / "guests.py").write_text(GUESTS)
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Iterator[robench.Results]:
    """A run whose attacks have one guest of the suite and three of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))  # guests leave with the module
        yield robench.run(
            folder / "pushed.yaml",
            results=folder / "r",
            jobs=0,
            plugins=[folder / "guests.py"],
            only="dense",
            progress=Silent(),
        )


@pytest.fixture(scope="module")
def record(results: robench.Results) -> Record:
    [record] = [record for record in results.records if record.cell.stage == "attack"]
    assert record.status == "ok", record.reason
    return record


@pytest.fixture(scope="module")
def arrays(results: robench.Results, record: Record) -> dict[str, np.ndarray]:
    return results.run.store.arrays(record.id)


def test_options_are_resolved_for_the_data_set(record: Record) -> None:
    options = record.cell.options
    assert (options["suite"], options["version"], options["samples"]) == ("l2-smoke", 2, 24)
    assert options["area_limit"] == 3.0
    assert options["radii"] == [1.0, 2.0, 3.0]
    own, *others = options["extra"]
    assert (own["name"], own["params"]["steps"], own["label"]) == ("ddn", 60, "ddn[steps=60]")
    assert {other["name"] for other in others} == {"lazy-guest", "faulty-guest", "unable-guest"}


def test_metrics_are_those_of_the_stored_distances(
    record: Record, arrays: dict[str, np.ndarray]
) -> None:
    distance, correct = arrays["distance"], arrays["correct"]
    assert correct.any()
    assert ((distance > 0) == correct).all()
    images = to_float(load("digits").test.first(24).images)
    norm = images.double().flatten(1).norm(dim=1).numpy()
    expected = {
        "median_l2": np.median(distance[correct]),
        "l2_area": np.minimum(distance, 3).mean(),
        "l2_area_share": np.minimum(distance, 3).mean() / 3,
        "l2_area_of_correct": np.minimum(distance, 3)[correct].mean(),
        "mean_l2": distance.mean(),
        "mean_l2_of_correct": distance[correct].mean(),
        "mean_l2_normalised": (distance / norm).mean(),
        "rho_adv": (distance / norm)[correct].mean(),
    }
    for name, value in expected.items():
        [metric] = [metric for metric in record.metrics if metric.name == name]
        assert metric.value == pytest.approx(value), name
        assert metric.low <= metric.value <= metric.high
        is_of_correct = name in ("median_l2", "rho_adv") or name.endswith("_of_correct")
        assert metric.n == (correct.sum() if is_of_correct else 24)
    for radius, share in zip(
        (0.0, 1.0, 2.0), metrics.robust_accuracy(distance, (0, 1, 2)), strict=True
    ):
        assert record.metric("accuracy_at", radius=radius).value == pytest.approx(share)
    of_correct = record.metric("accuracy_of_correct_at", radius=1.0)
    assert of_correct.value == (distance[correct] > 1).mean()
    assert of_correct.n == correct.sum()


def test_rho_adv_of_deepfool_is_of_estimated_labels_without_a_box(
    results: robench.Results, record: Record, arrays: dict[str, np.ndarray]
) -> None:
    store = results.run.store
    network = trained_network(record.cell, context_of(record.cell, Setting(store.root), store))
    images = to_float(load("digits").test.first(24).images)
    found = DeepFool()(network, images, None, box=False)
    norm = images.double().flatten(1).norm(dim=1)
    expected = metrics.rho_adv_of_estimates(found.distance, norm)
    assert record.metric("rho_adv_deepfool").value == pytest.approx(expected)
    assert record.metric("rho_adv_deepfool").n == 24


def test_members_are_stored_each_by_itself(record: Record, arrays: dict[str, np.ndarray]) -> None:
    table = record.details["attacks"]
    own = [name for name, entry in table.items() if not entry["guest"]]
    assert own == ["deepfool", "ddn"]
    assert len(table) == len(arrays["member_distance"]) == 6
    best = arrays["member_distance"][:2].min(axis=0)
    # Verification can only drop points, never bring one closer.
    assert (arrays["distance"] >= best - 1e-5).all()
    winners = [record.details["winners"][place] for place in arrays["winner"]]
    for name in own:
        share = winners.count(name) / arrays["correct"].sum()
        assert table[name]["wins"] == pytest.approx(share)
        assert 0 < table[name]["passes"] <= table[name]["allowed"]
        assert 0 < table[name]["optimality"] <= 1
    used = sum(table[name]["passes"] for name in own) * arrays["correct"].mean()
    assert record.metric("passes_per_image").value == pytest.approx(used)
    assert record.metric("check_passes_per_image").value == 0


def test_guests_do_not_count(record: Record, folder: Path, arrays: dict[str, np.ndarray]) -> None:
    (folder / "alone.yaml").write_text(SUITE.replace(SUITE[SUITE.index(", extra") : -2], ""))
    alone = robench.run(
        folder / "alone.yaml", results=folder / "r", jobs=0, only="dense", progress=Silent()
    )
    [without] = [r for r in alone.records if r.cell.stage == "attack"]
    assert without.id != record.id
    assert set(without.details["attacks"]) == {"deepfool", "ddn"}
    same = alone.run.store.arrays(without.id)["distance"]
    np.testing.assert_array_equal(same, arrays["distance"])
    assert without.metric("median_l2") == record.metric("median_l2")


def test_guests_are_compared_and_their_faults_told(record: Record) -> None:
    table = record.details["attacks"]
    guests = {name: entry for name, entry in table.items() if entry["guest"]}
    assert len(guests) == 4
    ddn = next(entry for entry in guests.values() if entry["attack"] == "ddn")
    assert ddn["optimality"] > 0.5
    assert 0 <= ddn["wins"] <= 1
    assert ddn["passes"] <= record.details["passes_allowed"] + 12
    assert guests["lazy-guest"]["optimality"] == 0
    assert guests["faulty-guest"]["error"].endswith("raised RuntimeError: no idea")
    assert "a package that is not there" in guests["unable-guest"]["error"]


def test_flags_and_points_are_in_the_record(record: Record) -> None:
    flags = {flag["name"]: flag for flag in record.details["flags"]}
    assert {"value", "threshold", "raised", "meaning", "kind"} <= set(flags["rayslack"])
    assert len(record.details["images_sha256"]) == 64
    assert record.details["views"] == ["own"]
    assert record.details["box"] is True


def test_a_network_that_knows_nothing_is_a_row_without_distances(folder: Path) -> None:
    text = SUITE.replace("dense_steps: 60, sparse_steps: 60", "dense_steps: 0, sparse_steps: 1")
    text = text.replace("name: pushed", "name: ignorant").replace("samples: 24", "samples: 2")
    (folder / "ignorant.yaml").write_text(text)
    done = robench.run(
        folder / "ignorant.yaml", results=folder / "r2", jobs=0, only="dense", progress=Silent()
    )
    [found] = [r for r in done.records if r.cell.stage == "attack"]
    assert found.status == "ok"
    assert found.metric("accuracy").value == 0
    for name in ("median_l2", "eps_50", "rho_adv", "mean_l2_of_correct"):
        assert found.metric(name).value is None
    assert found.metric("attack_success").value is None
    assert found.metric("l2_area", limit=3.0).value == 0
    assert found.metric("rho_adv_deepfool").value > 0  # its estimates can be changed


def test_a_row_in_which_every_attack_crashed_is_a_failed_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: Attack, oracle: object) -> torch.Tensor:
        raise RuntimeError("no kernel for this type")

    for name in ("deepfool", "ddn"):
        monkeypatch.setattr(ATTACKS.get(name), "run", crash)
    (folder / "crashed.yaml").write_text(SUITE.replace("name: pushed", "name: crashed"))
    done = robench.run(
        folder / "crashed.yaml", results=folder / "r5", jobs=0, only="dense", progress=Silent()
    )
    [found] = [r for r in done.records if r.cell.stage == "attack"]
    assert found.status == "failed"
    assert "'deepfool' raised RuntimeError: no kernel for this type" in (found.reason or "")
    assert not found.metrics  # and no robust network


def test_adversarials_of_the_dense_control_are_tried_on_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = (Member("deepfool", {"steps": 1}), Member("transfer"))
    suite = AttackSuite("l2-smoke", 9, members, checks=("noise",))
    monkeypatch.setattr(suites, "SUITES", {**suites.SUITES, "l2-smoke": suite})
    text = SUITE.replace("name: pushed", "name: lent").replace(
        ", extra: [{name: ddn, steps: 60}]", ""
    )
    (folder / "lent.yaml").write_text(text)
    done = robench.run(
        folder / "lent.yaml",
        results=folder / "r4",
        jobs=0,
        only="attack",
        progress=Silent(),
    )
    of = {r.cell.method.name: r for r in done.records if r.cell.stage == "attack"}
    trains = [r for r in done.records if (r.cell.stage, r.cell.role) == ("train", "result")]
    [dense] = [record for record in trains if record.cell.method.name == "dense"]
    assert of["dense"].cell.donor is None
    assert set(of["dense"].details["attacks"]) == {"deepfool"}
    assert of["magnitude"].cell.donor == dense.id
    # One step of DeepFool is a poor attack: what fools the dense network comes closer.
    lent = of["magnitude"].details["attacks"]["transfer"]
    assert lent["wins"] > 0
    assert of["magnitude"].cell.options["version"] == 9
    # What the checks cost is told too: here 200 random directions at least, for each image.
    checks = of["dense"].details["checks"]
    assert checks["passes"] >= 200 * checks["images"] > 0
    cost = of["dense"].metric("check_passes_per_image")
    assert cost.value == pytest.approx(checks["passes"] / cost.n)


# -- checking a claim -----------------------------------------------------------------------------


def test_anyone_can_check_a_claim(folder: Path, record: Record) -> None:
    claim = robench.check_attack(folder / "r", record.id[:8])
    assert claim.holds.all()
    assert str(claim) == "24 of 24 points hold"


def test_a_forged_claim_does_not_hold(
    folder: Path, record: Record, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    store, forged = Store(folder / "r"), Store(tmp_path)
    shorter = np.where(arrays["correct"], arrays["distance"] * 0.9, 0)
    forged.write(record, {**arrays, "distance": shorter})
    weights = store.checkpoint_path(record.cell.parent).read_bytes()
    forged.checkpoint_path(record.cell.parent).parent.mkdir(parents=True, exist_ok=True)
    forged.checkpoint_path(record.cell.parent).write_bytes(weights)
    claim = robench.check_attack(tmp_path, record.id)
    assert torch.equal(claim.holds, torch.from_numpy(~arrays["correct"]))
    assert "are not as far as claimed" in str(claim)


def test_what_cannot_be_checked_says_why(
    folder: Path, results: robench.Results, record: Record, tmp_path: Path
) -> None:
    train = next(r for r in results.records if r.cell.stage == "train")
    with pytest.raises(UsageError, match="is no attack that succeeded"):
        robench.check_attack(folder / "r", train.id)
    with pytest.raises(UnknownNameError, match="no cell"):
        robench.check_attack(folder / "r", "nothing")
    Store(tmp_path).write(record)
    with pytest.raises(StoreError, match=r"cannot be checked without .*arrays"):
        robench.check_attack(tmp_path, record.id)
    Store(tmp_path).write(record, results.run.store.arrays(record.id))
    with pytest.raises(StoreError, match=r"cannot be checked without .*weights"):
        robench.check_attack(tmp_path, record.id)


# -- mistakes in a suite --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "error", "message"),
    [
        ("[dnn]", UnknownNameError, "no attack 'dnn'"),
        ("[{name: ddn, step: 3}]", ParameterError, "step"),
    ],
)
def test_guests_that_do_not_exist_are_refused_before_any_work(
    folder: Path, extra: str, error: type[Exception], message: str
) -> None:
    start = SUITE.index("extra: ") + len("extra: ")
    (folder / "wrong.yaml").write_text(SUITE[:start] + extra + "}\n")
    with pytest.raises(error, match=message) as caught:
        robench.run(folder / "wrong.yaml", results=folder / "r3", jobs=0, progress=Silent())
    if error is UnknownNameError:
        assert "wrong.yaml:10" in str(caught.value)
        assert "ddn" in str(caught.value)


@pytest.mark.parametrize("key", ["area_limit: 0", "radii: [-1]"])
def test_distances_that_are_none_are_refused(folder: Path, key: str) -> None:
    (folder / "wrong.yaml").write_text(SUITE.replace("samples: 24", key))
    with pytest.raises(SuiteError, match=key.partition(":")[0]):
        load_suite(folder / "wrong.yaml")

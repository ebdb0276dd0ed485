"""Networks that several levels share, masks that one method lends to another, regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import robench
from robench.data import load
from robench.engine.plan import plan
from robench.engine.progress import Silent
from robench.errors import SuiteError
from robench.plugin_files import load_plugin
from robench.spec import load_suite
from robench.training.checkpoint import Checkpoint

SHARING = Path(__file__).parent.parent / "plugins" / "sharing.py"


@pytest.fixture(autouse=True)
def plugin() -> None:
    load_plugin(SHARING)


@pytest.fixture
def results_of(tiny, tmp_path):
    """``results_of(methods="[...]")``: runs the tiny suite with these lines changed."""

    def run(**changes: str) -> robench.Results:
        suite = tiny(**changes)
        return robench.run(
            suite, results=tmp_path / "r", jobs=0, plugins=[SHARING], progress=Silent()
        )

    return run


def train_records(results, method, role="result"):
    return [
        record
        for record in results.records
        if (record.cell.stage, record.cell.method.name, record.cell.role) == ("train", method, role)
    ]


def checkpoint(results, record) -> Checkpoint:
    return Checkpoint.load(results.run.store.checkpoint_path(record.id))


def test_one_network_is_trained_and_all_levels_are_cut_out_of_it(results_of) -> None:
    results = results_of(methods="[one-for-all]", levels="[0.5, 0.9]")
    (shared,) = train_records(results, "one-for-all", "start")
    assert shared.details["method"] == {"steps": 10, "steps_at_finish": 10}
    whole = checkpoint(results, shared).weights
    records = train_records(results, "one-for-all")
    assert [record.metric("level_achieved").value for record in records] == pytest.approx(
        [0.5, 0.9], abs=1e-3
    )
    for record in records:
        assert record.cell.parent == shared.id
        assert record.details["method"] == {"steps_at_finish": 10}
        assert record.metric("steps").value == 10
        assert record.metric("reached").value == 1
        for name, weight in checkpoint(results, record).weights.items():
            kept = weight != 0
            assert (weight[kept] == whole[name][kept]).all()


def test_a_level_below_what_the_method_makes_zero_is_a_row_that_says_so(results_of) -> None:
    results = results_of(methods="[{name: one-for-all, share: 0.7}]", levels="[0.5, 0.9]")
    low, high = train_records(results, "one-for-all")
    assert low.status == "not-applicable"
    assert "makes 0.7000 of the weights zero by itself" in low.reason
    assert low.metric("reached").value == 0
    assert low.metric("level_target").value == 0.5
    assert low.metric("level_achieved").value == pytest.approx(0.7, abs=1e-3)
    assert high.status == "ok"
    assert high.metric("level_native").value == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize(("donor", "start"), [("magnitude", "dense"), ("one-for-all", None)])
def test_a_borrower_gets_the_masks_of_its_donor_and_starts_where_it_did(
    results_of, donor, start
) -> None:
    results = results_of(methods=f"[one-for-all, {{name: borrower, of: {donor}}}]")
    (record,) = train_records(results, "borrower")
    (lender,) = train_records(results, donor)
    assert record.cell.donor == lender.id
    by_id = {other.id: other for other in results.records}
    parent = by_id[record.cell.parent].cell.method.name if record.cell.parent else None
    assert parent == start
    masks, lent = checkpoint(results, record).masks, checkpoint(results, lender).masks
    assert all((masks[name] == lent[name]).all() for name in lent)


def test_the_borrower_may_miss_the_level_by_as_much_as_its_donor(results_of) -> None:
    results = results_of(methods="[ssl, {name: layer-shuffle, of: ssl}]", levels="[0.5]")
    (lender,) = train_records(results, "ssl")
    (record,) = train_records(results, "layer-shuffle")
    assert lender.metric("level_achieved").value != 0.5  # whole neurons went
    assert record.metric("level_achieved").value == lender.metric("level_achieved").value


def test_only_a_borrower_brings_its_donor_and_the_donors_network_along(tiny, tmp_path) -> None:
    suite = tiny(methods="[borrower]")
    results = robench.run(
        suite,
        results=tmp_path / "r",
        jobs=0,
        plugins=[SHARING],
        only="borrower",
        progress=Silent(),
    )
    labels = {(r.cell.method.name, r.cell.role) for r in results.records}
    assert labels == {("dense", "start"), ("magnitude", "result"), ("borrower", "result")}


def test_a_donor_that_is_not_in_the_grid_is_named_before_anything_runs(tiny) -> None:
    path = tiny(methods="[{name: borrower, of: halo}]")
    with pytest.raises(SuiteError, match="asks for the masks of 'halo'") as caught:
        plan(load_suite(path))
    assert caught.value.where == f"{path}:6"
    assert "magnitude" in caught.value.allowed


def test_a_failed_donor_is_the_borrowers_reason(results_of) -> None:
    results = results_of(
        methods="[{name: one-for-all, share: 0.7}, {name: borrower, of: one-for-all}]"
    )
    (record,) = train_records(results, "borrower")
    assert record.status == "not-applicable"
    assert "is missing" in record.reason


def test_regression_reports_errors_in_the_targets_own_units(results_of) -> None:
    results = results_of(
        data="plane",
        methods="[curious]",
        recipe="{dense_steps: 150, sparse_steps: 150, optimiser: rmsprop, momentum: 0, "
        "learning_rate: 0.003}",
    )
    assert {record.cell.stage for record in results.records} == {"train"}
    (dense,) = train_records(results, "dense")
    data = load("plane")
    predicted = results.run.store.arrays(dense.id)["logits"][:, 0]
    target = data.test.labels.numpy() * data.target_std + data.target_mean
    mse = np.mean((predicted * data.target_std + data.target_mean - target) ** 2)
    assert dense.metric("mse").value == pytest.approx(mse, rel=1e-4)
    assert dense.metric("r2").value == pytest.approx(1 - mse / target.var(), rel=1e-4)
    assert dense.metric("r2").value > 0.9
    assert dense.metric("mse").low < mse < dense.metric("mse").high
    assert dense.metric("accuracy") is None
    assert dense.metric("r2_validation") is not None
    (curious,) = train_records(results, "curious")
    assert curious.details["method"] == {"task": "regression"}
    assert curious.metric("level_native").value == 0.25

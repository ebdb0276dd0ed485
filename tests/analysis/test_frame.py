from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from robench.analysis import table
from robench.analysis.frame import COLUMNS, trainings
from robench.spec import Cell, Distortion, Metric, PluginRef, Recipe, Record, json_number


def cell(**change: Any) -> Cell:
    own: dict[str, Any] = {
        "stage": "train",
        "suite": "toy",
        "suite_version": 3,
        "data": PluginRef(name="digits", version=1),
        "data_sha256": "0" * 64,
        "model": PluginRef(name="mlp", version=1),
        "method": PluginRef(name="magnitude", version=1),
        "level": 0.9,
        "seed": 0,
        "recipe": Recipe(),
    }
    return Cell(**own | change)


def record(of: Cell, *metrics: Metric, **change: Any) -> Record:
    own: dict[str, Any] = {"id": of.id, "cell": of, "status": "ok", "metrics": metrics}
    return Record(**own | change)


TRAINED = record(
    cell(),
    Metric.share("accuracy", 90, 100),
    Metric(name="level_achieved", value=0.903),
)


def attack_on(parent: Record, **change: Any) -> Cell:
    return cell(stage="attack", parent=parent.id, **change)


def test_a_row_for_each_metric_with_its_cell() -> None:
    frame = table([TRAINED])
    assert list(frame.columns) == list(COLUMNS)
    first = frame.iloc[0]
    assert (first["metric"], first["value"], first["n"]) == ("accuracy", 0.9, 100)
    assert (first["method"], first["level"], first["training"]) == ("magnitude", 0.9, "none")
    assert first["low"] < 0.9 < first["high"]
    assert len(frame) == 2


def test_a_failure_is_a_row_with_its_reason() -> None:
    failed = record(cell(seed=1), status="failed", reason="the loss became NaN")
    frame = table([TRAINED, failed])
    row = frame[frame["id"] == failed.id].iloc[0]
    assert (row["status"], row["reason"]) == ("failed", "the loss became NaN")
    assert pd.isna(row["metric"])


def test_evaluations_carry_the_level_of_the_network_they_looked_at() -> None:
    attacked = record(attack_on(TRAINED), Metric(name="median_l2", value=1.2))
    orphan = record(cell(stage="attack", parent="gone"), Metric(name="median_l2", value=1.0))
    frame = table([attacked, TRAINED, orphan]).set_index("id")
    assert frame.loc[attacked.id, "level_achieved"] == 0.903
    assert math.isnan(float(str(frame.loc[orphan.id, "level_achieved"])))


def test_conditions_are_columns() -> None:
    metrics = [
        Metric(name="accuracy", value=0.5, condition={"kind": "high-pass", "test_level": level})
        for level in (json_number(math.inf), 3.0)
    ]
    frame = table([record(attack_on(TRAINED), *metrics)])
    assert frame["kind"].tolist() == ["high-pass"] * 2
    assert frame["test_level"].tolist() == [math.inf, 3.0]


def test_a_condition_never_hides_a_column_of_the_cell() -> None:
    frame = table([record(cell(), Metric(name="x", value=1.0, condition={"level": 0.3}))])
    assert frame["level"].tolist() == [0.9]
    assert frame["condition_level"].tolist() == [0.3]


def test_the_training_distortion_has_a_label_and_is_no_part_of_the_recipe() -> None:
    noisy = cell(recipe=Recipe(distortion=Distortion(kind="uniform-noise", levels=(0.2,))))
    frame = table([TRAINED, record(noisy, Metric(name="accuracy", value=0.5))])
    assert frame["training"].unique().tolist() == ["none", "uniform-noise (0.2)"]
    assert frame["recipe"].nunique() == 1


@pytest.mark.parametrize(
    ("change", "column"),
    [({"recipe": Recipe(dense_steps=7)}, "recipe"), ({"options": {"samples": 7}}, "options")],
)
def test_what_is_not_comparable_has_another_hash(change: dict[str, Any], column: str) -> None:
    assert table([TRAINED, record(cell(**change))])[column].nunique() == 2


def test_two_plugins_of_one_label_have_two_names() -> None:
    def method(**change: Any) -> Record:
        return record(cell(method=PluginRef(**{"name": "halo", "version": 1} | change)))

    versions = table([method(), method(version=2)])["method"].tolist()
    assert versions == ["halo (version 1)", "halo (version 2)"]
    defaults = table([method(), method(params={"xi": 1})])["method"].tolist()
    assert len(set(defaults)) == 2
    assert all(name.startswith("halo (") for name in defaults)
    assert table([method(), method()])["method"].unique().tolist() == ["halo"]


def test_what_a_plugin_is_stands_in_columns() -> None:
    methods = [
        PluginRef(name="magnitude", version=2, params={"scope": "layer"}, changed=("scope",)),
        PluginRef(name="dense", version=1),
        PluginRef(name="given", version=1, params={"weights": "mine"}, changed=("weights",)),
        PluginRef(name="given-mine", version=1),
        PluginRef(name="dense (version 2)", version=1),
    ]
    frame = table([record(cell(method=method)) for method in methods])
    assert frame["method_name"].tolist() == [method.name for method in methods]
    assert frame["method_version"].tolist() == [2, 1, 1, 1, 1]
    assert frame["method_params"].tolist()[:2] == ['{"scope":"layer"}', "{}"]
    assert frame["is_dense"].tolist() == [False, True, False, False, False]
    assert frame["is_given"].tolist() == [False, False, True, False, False]
    assert frame["is_control"].tolist() == [True, True, False, False, False]
    assert (frame["data_name"][0], frame["model_name"][0]) == ("digits", "mlp")
    assert {str(frame[name].dtype) for name in ("is_dense", "is_given")} == {"bool"}


def test_what_a_suite_sets_to_its_default_is_the_same_plugin() -> None:
    plain = PluginRef(name="halo", version=1, params={"xi": 1})
    said = plain.model_copy(update={"changed": ("xi",)})
    frame = table([record(cell(method=plain)), record(cell(method=said, seed=1))])
    assert frame["method"].tolist() == ["halo", "halo"]


def test_no_name_can_pass_for_another() -> None:
    halo = [PluginRef(name="halo", version=1, params={"xi": xi}) for xi in (1, 2)]
    names = table([record(cell(method=method)) for method in halo])["method"].tolist()
    forged = [*halo, *(PluginRef(name=name, version=1) for name in names)]
    found = table([record(cell(method=method)) for method in forged])["method"]
    assert found.nunique() == 4


def test_trainings_that_round_to_one_label_have_two_names() -> None:
    distortions = [
        None,
        Distortion(kind="uniform-noise", levels=(0.20000001,)),
        Distortion(kind="uniform-noise", levels=(0.2,)),
        Distortion(kind="none"),
    ]
    records = [record(cell(recipe=Recipe(distortion=own))) for own in distortions]
    names = table(records)["training"].tolist()
    assert len(set(names)) == 4
    assert names[0] == "none"
    assert trainings(records) == dict(zip(names, distortions, strict=True))


def test_records_from_disk_give_the_same_table() -> None:
    infinite = Metric(name="accuracy", value=math.inf, condition={"test_level": math.inf})
    records = [TRAINED, record(attack_on(TRAINED, options={"limit": 3.0}), infinite)]
    read = [Record.model_validate_json(one.model_dump_json()) for one in records]
    pd.testing.assert_frame_equal(table(records), table(read))


def test_no_records_give_an_empty_table() -> None:
    assert table([]).empty
    assert list(table([]).columns) == list(COLUMNS)

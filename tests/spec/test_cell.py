from __future__ import annotations

import json
import math

import pytest

from robench.spec import Cell, Distortion, PluginRef, Recipe, json_number


def cell(**changes) -> Cell:
    fields = {
        "stage": "train",
        "suite": "trial",
        "suite_version": 1,
        "data": PluginRef(name="digits", version=1),
        "data_sha256": "0" * 64,
        "model": PluginRef(name="mlp", version=1, params={"widths": [32]}, changed=("widths",)),
        "method": PluginRef(name="halo", version=1),
        "level": 0.5,
        "seed": 0,
        "recipe": Recipe(),
    }
    return Cell(**{**fields, **changes})


def test_the_id_covers_everything_that_changes_the_number() -> None:
    different = [
        cell(),
        cell(stage="attack"),
        cell(suite_version=2),
        cell(data_sha256="1" * 64),
        cell(method=PluginRef(name="halo", version=2)),
        cell(method=PluginRef(name="halo", version=1, params={"xi": 0.1})),
        cell(level=0.8),
        cell(seed=1),
        cell(recipe=Recipe(batch_size=32)),
        cell(recipe=Recipe(distortion=Distortion(kind="contrast"))),
        cell(options={"samples": 10}),
        cell(parent="a" * 16),
        cell(role="start"),
        cell(device="cuda"),
    ]
    assert len({one.id for one in different}) == len(different)
    assert cell().id == cell().id


def test_a_copy_has_an_id_of_its_own() -> None:
    original = cell()
    before = original.id
    assert original.model_copy(update={"level": 0.8}).id != before


def test_the_id_survives_json_with_infinite_levels() -> None:
    original = cell(options={"kinds": {"high-pass": {"levels": [json_number(math.inf), 3.0]}}})
    again = Cell.model_validate(json.loads(original.model_dump_json()))
    assert again.id == original.id
    noisy = cell(recipe=Recipe(distortion=Distortion(kind="high-pass", levels=(math.inf,))))
    assert Cell.model_validate_json(noisy.model_dump_json()).id == noisy.id
    levels = again.options["kinds"]["high-pass"]["levels"]
    assert [float(level) for level in levels] == [math.inf, 3.0]


def test_the_id_is_stable_over_releases() -> None:
    # A golden value: where it changes, every results folder in the world is done again.
    assert cell().id == "1f523fab42cc3163"


@pytest.mark.parametrize("purpose", ["init", "order"])
def test_methods_levels_and_noises_of_one_seed_share_start_and_batches(purpose: str) -> None:
    others = [
        cell(method=PluginRef(name="ssl", version=3)),
        cell(level=0.99),
        cell(recipe=Recipe(distortion=Distortion(kind="contrast"))),
        cell(role="start", parent=None),
    ]
    assert {other.seed_for(purpose) for other in others} == {cell().seed_for(purpose)}
    assert cell(seed=1).seed_for(purpose) != cell().seed_for(purpose)


def test_evaluations_share_their_seed_over_networks_but_not_over_stages() -> None:
    attack = cell(stage="attack", method=PluginRef(name="ssl", version=1))
    assert attack.seed_for("evaluate") == cell(stage="attack").seed_for("evaluate")
    assert attack.seed_for("evaluate") != cell(stage="degrade").seed_for("evaluate")


def test_the_label_is_for_people() -> None:
    assert cell().label == "train digits/mlp[widths=[32]] halo @ 0.5 seed 0"
    noisy = cell(recipe=Recipe(distortion=Distortion(kind="contrast", levels=(0.1,))))
    assert "on contrast (0.1)" in noisy.label

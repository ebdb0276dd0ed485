from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robench.engine.plan import matches, plan, select
from robench.errors import ParameterError, SuiteError
from robench.spec import Cell, load_suite


def planned(path: Path, **options) -> list[Cell]:
    return plan(load_suite(path), **options)


def test_parents_come_first_and_no_cell_twice(tiny) -> None:
    cells = planned(tiny(methods="[halo, ssl]", levels="[0.5, 0.8]", evaluate="[degrade, attack]"))
    seen: set[str] = set()
    for cell in cells:
        assert cell.id not in seen
        assert cell.parent is None or cell.parent in seen
        seen.add(cell.id)


def test_the_controls_are_in_every_grid(tiny) -> None:
    methods = {cell.method.name for cell in planned(tiny(methods="[halo]"))}
    assert methods == {"dense", "random", "magnitude", "halo"}


def test_everyone_has_the_same_budget(tiny) -> None:
    cells = planned(tiny(methods="[halo, ssl]", recipe="{dense_steps: 7, sparse_steps: 11}"))
    by_id = {cell.id: cell for cell in cells}
    for cell in cells:
        if cell.role == "result":
            own = cell.recipe.sparse_steps if cell.parent else cell.recipe.total_steps
            before = by_id[cell.parent].recipe.dense_steps if cell.parent else 0
            assert own + before == 18


def test_without_dense_steps_nothing_starts_from_a_trained_network(tiny) -> None:
    cells = planned(tiny(recipe="{dense_steps: 0, sparse_steps: 5}"))
    assert {cell.role for cell in cells} == {"result"}
    assert {cell.parent for cell in cells} == {None}


def test_the_dense_control_has_no_levels(tiny) -> None:
    cells = planned(tiny(levels="[0.5, 0.8]"))
    dense = [cell for cell in cells if cell.method.name == "dense" and cell.role == "result"]
    assert [cell.level for cell in dense] == [0.0]


def test_a_default_that_changes_is_another_cell(tiny, monkeypatch) -> None:
    from robench.methods.halo import Halo

    before = {cell.id for cell in planned(tiny(methods="[halo]"))}
    monkeypatch.setattr(Halo, "version", 99)
    after = {cell.id for cell in planned(tiny(methods="[halo]"))}
    assert len(before - after) == 2  # the one that is trained, and the level cut out of it


def test_ids_do_not_depend_on_the_order_of_a_suite(tiny) -> None:
    one = planned(tiny(methods="[halo, ssl]", levels="[0.5, 0.8]", seeds="[0, 1]"))
    other = planned(tiny(methods="[ssl, halo]", levels="[0.8, 0.5]", seeds="[1, 0]"))
    assert {cell.id for cell in one} == {cell.id for cell in other}


def test_a_wrong_parameter_names_file_and_line(tiny) -> None:
    path = tiny(methods="[{name: magnitude, skope: layer}]")
    with pytest.raises(ParameterError, match="no parameter 'skope'") as caught:
        planned(path)
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(path))
    with pytest.raises(ParameterError, match="'scope' cannot be 'everywhere'"):
        planned(tiny(methods="[{name: magnitude, scope: everywhere}]"))


def test_a_level_that_a_training_distortion_does_not_take(tiny) -> None:
    path = tiny(distortions="[{kind: contrast, level: 3}]")
    with pytest.raises(SuiteError, match="3") as caught:
        planned(path)
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(path))


def test_a_training_distortion_that_the_data_cannot_bear(tiny) -> None:
    path = tiny(data="breast-cancer", distortions="[none, contrast]")
    with pytest.raises(SuiteError, match="breast-cancer has rows of 30 features") as caught:
        planned(path)
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(path))


def test_fine_tuning_on_noise_starts_from_the_clean_parent(tiny) -> None:
    noise = "{kind: contrast, trains: fine-tuned}"
    cells = planned(tiny(distortions=f"[none, {noise}, contrast]"))
    starts = [cell for cell in cells if cell.role == "start" and cell.method.name == "dense"]
    assert [cell.recipe.distortion and cell.recipe.distortion.label for cell in starts] == [
        None,
        "contrast",
    ]
    parents = {
        cell.recipe.distortion.label: cell.parent
        for cell in cells
        if cell.recipe.distortion and cell.role == "result" and cell.method.name == "magnitude"
    }
    assert parents == {"contrast (fine-tuned)": starts[0].id, "contrast": starts[1].id}


def test_a_new_version_of_a_degradation_is_another_training(tiny, monkeypatch) -> None:
    from robench.registry import all_registries

    def trained() -> dict[str, set[str]]:
        cells = planned(tiny(distortions="[none, contrast, {kind: low-pass, level: 3}]"))
        found: dict[str, set[str]] = {}
        for cell in cells:
            if cell.stage == "train":
                distortion = cell.recipe.distortion
                found.setdefault(distortion.label if distortion else "none", set()).add(cell.id)
        return found

    before = trained()
    registry = all_registries()["degradations"]
    newer = replace(registry.get("contrast"), version=registry.get("contrast").version + 1)
    found = registry.get
    monkeypatch.setattr(
        registry, "get", lambda name, **at: newer if name == "contrast" else found(name, **at)
    )
    after = trained()
    assert before.keys() == {"none", "contrast", "low-pass (3)"}
    assert {name for name in before if before[name] == after[name]} == {"none", "low-pass (3)"}
    assert not before["contrast"] & after["contrast"]


def test_all_kinds_are_the_published_ones_of_robench(tiny) -> None:
    from robench import DEGRADATIONS

    (cell, *_) = [c for c in planned(tiny(evaluate="[degrade]")) if c.stage == "degrade"]
    # Digits are grey: they have no colour to take away, nor to turn round.
    assert set(cell.options["kinds"]) == set(DEGRADATIONS) - {"greyscale", "opponent-colour"}


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [("halo", True), ("HALO", True), ("train*halo", True), ("attack", False), ("m?p", True)],
)
def test_patterns(tiny, pattern: str, matched: bool) -> None:
    (cell,) = [
        c for c in planned(tiny(methods="[halo]")) if (c.method.name, c.role) == ("halo", "result")
    ]
    assert matches(cell, pattern) == matched
    assert matches(cell, cell.id[:6])


def test_brackets_in_a_pattern_mean_themselves(tiny) -> None:
    cells = planned(tiny(methods="[{name: magnitude, scope: layer}]"))
    chosen = select(cells, "magnitude[scope=layer]")
    assert {cell.method.label for cell in chosen} == {"dense", "magnitude[scope=layer]"}


LAYERS = "name: layers\nversion: 1\nlayers: {batch_sizes: [1, 8, 1]}\n"


def test_layers_are_cells_that_hang_off_nothing(tmp_path: Path) -> None:
    path = tmp_path / "layers.yaml"
    path.write_text(LAYERS)
    cells = planned(path)
    assert len({cell.id for cell in cells}) == len(cells) == 4 * 5 * 2
    assert {(cell.stage, cell.parent, cell.role) for cell in cells} == {("layers", None, "result")}
    places = {(c.options["row"], c.options["layer"], c.options["batch_size"]) for c in cells}
    assert len(places) == len(cells)
    assert {cell.method.label for cell in cells} == {
        "l1[row=1]", "ssl[row=2]", "l1[row=4]", "ssl[row=5]",
    }  # fmt: skip
    (one,) = (c for c in cells if (c.options["row"], c.options["layer"]) == (1, "conv3")
              and c.options["batch_size"] == 8)  # fmt: skip
    assert one.level == 0.972
    assert one.label == "layers none/wen2016-conv3 l1[row=1] @ 0.972 seed 0"


def test_layers_beside_a_grid_change_none_of_its_cells(tiny) -> None:
    alone = planned(tiny())
    together = planned(tiny(layers="{}"))
    assert [cell.id for cell in together[: len(alone)]] == [cell.id for cell in alone]
    assert {cell.stage for cell in together[len(alone) :]} == {"layers"}


def test_an_attack_suite_that_does_not_exist_names_its_line(tiny) -> None:
    with pytest.raises(SuiteError, match="no attack suite 'l2-quik'") as caught:
        planned(tiny(evaluate="{attack: {suite: l2-quik}}"))
    assert caught.value.where is not None
    assert caught.value.where.endswith("tiny.yaml:10")
    assert "did you mean 'l2-quick'" in str(caught.value)


def test_a_method_given_twice_in_other_words_is_refused(tiny) -> None:
    with pytest.raises(SuiteError, match="'halo' is given twice, once with its defaults"):
        planned(tiny(methods="[halo, {name: halo, xi: 5.0e-7}]"))

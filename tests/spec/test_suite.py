from __future__ import annotations

from pathlib import Path

import pytest

from robench.errors import SuiteError, UnknownNameError
from robench.spec import Suite, load_suite
from robench.spec.suite import shipped_suites

WHOLE = """\
name: trial
version: 2
description: a trial
data: digits
models: [mlp, {name: convnet}]
methods: [halo, {name: magnitude, scope: layer}]
levels: [0.5, 0.9]
seeds: 2
recipe: {dense_steps: 10, sparse_steps: 20}
distortions: [none, uniform-noise, {kind: contrast, level: 0.1}]
evaluate: {speed: true, attack: {samples: 5}, degrade: {kinds: rotation}}
"""


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str) -> Path:
        path = tmp_path / "trial.yaml"
        path.write_text(text)
        return path

    return writer


def line_of(error: SuiteError | UnknownNameError) -> int:
    assert error.where is not None
    return int(error.where.rpartition(":")[2])


def test_a_whole_suite(write) -> None:
    suite = load_suite(write(WHOLE))
    (grid,) = suite.grids
    assert (suite.name, suite.version, suite.is_flat) == ("trial", 2, True)
    assert [model.name for model in grid.models] == ["mlp", "convnet"]
    assert grid.methods[1].params == {"scope": "layer"}
    assert grid.seeds == (0, 1)
    assert grid.recipe.total_steps == 30
    assert [d and d.label for d in grid.distortions] == [None, "uniform-noise", "contrast (0.1)"]
    assert grid.evaluate.get("speed") is not None
    assert grid.evaluate.get("attack") is not None
    assert grid.evaluate.get("attack").samples == 5
    assert grid.evaluate.get("degrade") is not None
    assert grid.evaluate.get("degrade").kinds == ("rotation",)


def test_grids_inherit_and_override(write) -> None:
    suite = load_suite(
        write(WHOLE + "grids:\n  - {levels: [0.8]}\n  - {models: mlp, seeds: [7]}\n")
    )
    first, second = suite.grids
    assert first.levels == (0.8,)
    assert second.levels == (0.5, 0.9)
    assert second.seeds == (7,)
    assert [model.name for model in second.models] == ["mlp"]


@pytest.mark.parametrize(
    ("wrong", "right", "line", "words"),
    [
        ("levels: [0.5, 1.0]", "levels: [0.5, 0.9]", 7, ["less than 1", "[0, 1)", "1.0"]),
        ("levels: [-0.1]", "levels: [0.5, 0.9]", 7, ["-0.1", "[0, 1)"]),
        ("level: [0.5]", "levels: [0.5, 0.9]", 7, ["'level'", "did you mean 'levels'"]),
        ("seeds: -1", "seeds: 2", 8, ["seeds"]),
        ("version: 0", "version: 2", 2, ["version", "0"]),
        (
            "recipe: {dense_step: 10}",
            "recipe: {dense_steps: 10, sparse_steps: 20}",
            9,
            ["'dense_step'", "did you mean 'dense_steps'", "momentum"],
        ),
        (
            "recipe: {optimiser: sdg}",
            "recipe: {dense_steps: 10, sparse_steps: 20}",
            9,
            ["'sdg'", "'sgd', 'adam' or 'rmsprop'"],
        ),
        ("methods: [hallo]", "methods: [halo, {name: magnitude, scope: layer}]", 6, ["'halo'"]),
        ("models: [lenet5]", "models: [mlp, {name: convnet}]", 5, ["'lenet-5'"]),
        ("data: digit", "data: digits", 4, ["'digits'"]),
        (
            "distortions: [uniform]",
            "distortions: [none, uniform-noise, {kind: contrast, level: 0.1}]",
            10,
            ["'uniform-noise'"],
        ),
    ],
)
def test_a_mistake_names_line_value_and_remedy(write, wrong, right, line, words) -> None:
    assert right in WHOLE
    with pytest.raises((SuiteError, UnknownNameError)) as caught:
        load_suite(write(WHOLE.replace(right, wrong)))
    assert line_of(caught.value) == line
    for word in words:
        assert word in str(caught.value)


LEVELS, SEEDS, METHODS = (
    "levels: [0.5, 0.9]",
    "seeds: 2",
    "methods: [halo, {name: magnitude, scope: layer}]",
)
EVALUATE = "evaluate: {speed: true, attack: {samples: 5}, degrade: {kinds: rotation}}"


@pytest.mark.parametrize(
    ("wrong", "right", "line", "message"),
    [
        ("levels: [90]", LEVELS, 7, "levels.0: should be less than 1 (got 90)"),
        ("levels: []", LEVELS, 7, "levels: must not be empty (got [])"),
        ("levels: high", LEVELS, 7, "levels.0: must be a number (got 'high')"),
        ("levels: [0.5, 0.9, 0.5]", LEVELS, 7, "levels: 0.5 is given twice"),
        ("seeds: many", SEEDS, 8, "a count from 1 to 1000, or a list of whole numbers from 0"),
        ("seeds: 100000000", SEEDS, 8, "seeds: must be a count from 1 to 1000"),
        ("seeds: 0", SEEDS, 8, "seeds: must be a count from 1"),
        ("seeds: true", SEEDS, 8, "seeds: must be a count from 1"),
        ("seeds: []", SEEDS, 8, "seeds: must not be empty"),
        ("seeds: [3, 3]", SEEDS, 8, "seeds: 3 is given twice"),
        ("methods: []", METHODS, 6, "methods: must not be empty"),
        ("methods: [halo, {name: halo}]", METHODS, 6, "methods: 'halo' is given twice"),
        ("methods: [halo, 3]", METHODS, 6, "methods.1: must be a name, or a mapping with `name`"),
        ("methods: [{xi: 1}]", METHODS, 6, "the key 'methods.0.name' is missing"),
        ("evaluate: {speed: {batch_sizes: [0]}}", EVALUATE, 11, "speed.batch_sizes.0: should be"),
        ("evaluate: {attack: {samples: many}}", EVALUATE, 11, "samples: must be a whole number"),
        ("evaluate: {degrade: {kinds: []}}", EVALUATE, 11, "degrade.kinds: must not be empty"),
        (
            "evaluate: {degrade: {kinds: [rotation, rotation]}}",
            EVALUATE,
            11,
            "kinds: 'rotation' is given twice",
        ),
        ("evaluate: {speed: 3}", EVALUATE, 11, "evaluate.speed: must be a mapping of keys (got 3)"),
    ],
)
def test_one_mistake_is_one_problem_in_plain_words(write, wrong, right, line, message) -> None:
    assert right in WHOLE
    with pytest.raises(SuiteError) as caught:
        load_suite(write(WHOLE.replace(right, wrong)))
    assert line_of(caught.value) == line
    assert message in caught.value.what
    assert "more problem" not in str(caught.value)


def test_two_mistakes_are_counted_as_two(write) -> None:
    with pytest.raises(SuiteError, match="mend this first; 1 more problem in this file"):
        load_suite(write(WHOLE.replace(LEVELS, "levels: [90, -1]")))


def test_a_single_value_may_stand_for_a_list(write) -> None:
    text = WHOLE.replace(LEVELS, "levels: 0.9").replace("speed: true", "speed: {batch_sizes: 3}")
    (grid,) = load_suite(write(text)).grids
    assert grid.levels == (0.9,)
    assert grid.evaluate.get("speed") is not None
    assert grid.evaluate.get("speed").batch_sizes == (3,)


def test_a_mistake_in_a_grid_is_found_there_and_an_inherited_one_at_the_top(write) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(write(WHOLE + "grids:\n  - {levels: [0.8]}\n  - {levels: [2]}\n"))
    assert line_of(caught.value) == 14
    with pytest.raises(SuiteError) as caught:
        load_suite(write(WHOLE.replace("0.9]", "9]") + "grids:\n  - {models: mlp}\n"))
    assert line_of(caught.value) == 7


def test_a_key_given_twice_is_refused(write) -> None:
    with pytest.raises(SuiteError, match="'seeds' is given twice") as caught:
        load_suite(write(WHOLE + "seeds: 5\n"))
    assert line_of(caught.value) == 12
    assert "line 8" in str(caught.value)


def test_a_missing_key_is_named(write) -> None:
    with pytest.raises(SuiteError, match="'models' is missing"):
        load_suite(write(WHOLE.replace("models: [mlp, {name: convnet}]\n", "")))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_what_is_no_mapping_is_refused(write, text) -> None:
    with pytest.raises(SuiteError, match="a suite is a mapping"):
        load_suite(write(text))


def test_broken_yaml_names_the_line(write) -> None:
    with pytest.raises(SuiteError, match="not valid YAML") as caught:
        load_suite(write("name: a\nlevels: [1, 2\nseeds: 3\n"))
    assert line_of(caught.value) in (2, 3)


def test_an_unknown_suite_shows_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        load_suite("quik")
    with pytest.raises(SuiteError, match="there is no suite file"):
        load_suite("nowhere/quick.yaml")


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_shipped_suites_load(name: str) -> None:
    suite = load_suite(name)
    assert isinstance(suite, Suite)
    assert suite.name == name
    assert suite.description


LAYERS = "name: trial\nversion: 1\nlayers: {table: wen2016, batch_sizes: [1, 16]}\n"


def test_a_suite_of_layers_alone_needs_no_grid(write) -> None:
    suite = load_suite(write(LAYERS))
    assert suite.grids == ()
    assert suite.layers is not None
    assert suite.layers.batch_sizes == (1, 16)


def test_layers_may_stand_beside_grids(write) -> None:
    suite = load_suite(write(WHOLE + "layers: {}\n"))
    assert len(suite.grids) == 1
    assert suite.layers is not None
    assert suite.layers.batch_sizes == (1,)
    split = load_suite(write(WHOLE + "layers: {}\ngrids:\n  - {seeds: 1}\n  - {models: mlp}\n"))
    assert len(split.grids) == 2
    assert split.layers is not None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("layers: {table: wen2017}", ["'wen2017'", "'wen2016'"]),
        ("layers: {batch_sizes: [1, 0]}", ["batch_sizes", "greater than or equal to 1"]),
        ("layers: {batch_sizes: []}", ["batch_sizes", "must not be empty"]),
        ("layers: {repeats: 10}", ["repeats", "greater than or equal to 30", "10"]),
        ("layers: {batch_size: [1]}", ["'batch_size'", "did you mean 'batch_sizes'"]),
        ("layers: wen2016", ["layers", "'wen2016'"]),
        ("layers:", ["'data' is missing"]),
        ("layers: {}\nseeds: 1", ["'data' is missing"]),
    ],
)
def test_a_mistake_in_layers_names_its_line(write, wrong, words) -> None:
    with pytest.raises(SuiteError) as caught:
        load_suite(write("name: trial\nversion: 1\n" + wrong + "\n"))
    if "missing" not in words[0]:
        assert line_of(caught.value) == 3
    for word in words:
        assert word in str(caught.value)

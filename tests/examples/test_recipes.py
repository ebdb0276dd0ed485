"""The recipes of CONTRIBUTING: each example is shipped by one file and one line in a table.

A copy of the package gets all eight files and lines; then the command line of that copy lists them,
runs a suite with them and draws the board.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import robench

FOLDER = Path(__file__).parents[2]
CONTRIBUTING = (FOLDER / "CONTRIBUTING.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Recipe:
    """Where an example goes, and the line that it needs."""

    kind: str
    file: str
    room: str
    table: str
    name: str
    target: str
    word: str
    """Of `robench list`."""

    @property
    def line(self) -> str:
        module = f"{self.room.replace('/', '.')}.{self.file}"
        return f'        "{self.name}": "{module}:{self.target}",\n'


RECIPES = [
    Recipe("method", "synflow", "robench/methods", "", "synflow", "SynFlow", "methods"),
    Recipe(
        "attack",
        "carlini_wagner",
        "robench/attacks/algorithms",
        "robench/attacks/__init__.py",
        "carlini-wagner",
        "CarliniWagner",
        "attacks",
    ),
    Recipe(
        "degradation", "defocus", "robench/degradations", "", "defocus", "defocus", "degradations"
    ),
    Recipe("model", "separable", "robench/models", "", "separable", "Separable", "models"),
    Recipe("data set", "two_spirals", "robench/data", "", "two-spirals", "TwoSpirals", "datasets"),
    Recipe(
        "stage", "jacobian_norm", "robench/stages", "", "jacobian_norm", "JacobianNorm", "stages"
    ),
    Recipe("metric", "aurc", "robench/stages/scores", "", "aurc", "RiskCoverage", "metrics"),
    Recipe(
        "view",
        "class_accuracy",
        "robench/board/views",
        "",
        "class-accuracy",
        "ClassAccuracy",
        "views",
    ),
]
SUITE = """name: recipes
version: 1
data: digits
models: [{name: separable, widths: [4, 6]}]
methods: [synflow]
levels: [0.5]
seeds: 1
recipe: {dense_steps: 10, sparse_steps: 10}
evaluate:
  attack: {suite: l2-smoke, samples: 4, extra: [carlini-wagner]}
  degrade: {kinds: [defocus], samples: 20}
  calibration: {kinds: [defocus], samples: 20}
  jacobian_norm: {samples: 20}
"""


def table_of(recipe: Recipe) -> str:
    return recipe.table or f"{recipe.room}/__init__.py"


def add(recipe: Recipe, root: Path) -> None:
    """One file into its room, and one line into its table: before the first entry."""
    shutil.copy(FOLDER / "examples" / f"{recipe.file}.py", root / recipe.room)
    table = root / table_of(recipe)
    text = table.read_text(encoding="utf-8")
    first = re.search(r'^ +"[\w-]+": "robench\.[\w.]+:\w+",\n', text, re.MULTILINE)
    assert first is not None
    table.write_text(text[: first.end()] + recipe.line + text[first.end() :], encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the eight examples in it."""
    root = tmp_path_factory.mktemp("copy")
    source = Path(robench.__file__).parent
    shutil.copytree(source, root / "robench", ignore=shutil.ignore_patterns("__pycache__"))
    for recipe in RECIPES:
        add(recipe, root)
    return root


def robench_of(copy: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "robench", *words],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_all_kinds_are_listed_with_their_summaries(copy: Path) -> None:
    listed = robench_of(copy, "list")
    for recipe in RECIPES:
        section = listed.split(f"{recipe.word}\n")[1].split("\n\n")[0]
        assert re.search(rf"^  {recipe.name} +[A-Z]", section, re.MULTILINE), recipe.name


def test_a_suite_runs_with_all_of_them_and_the_board_shows_them(copy: Path) -> None:
    (copy / "suite.yaml").write_text(SUITE, encoding="utf-8")
    table = robench_of(copy, "run", "suite.yaml", "--results", "r", "--jobs", "0")
    assert "synflow" in table
    robench_of(copy, "board", "r")
    html = (copy / "r" / "board" / "index.html").read_text(encoding="utf-8")
    csv = (copy / "r" / "board" / "results.csv").read_text(encoding="utf-8")
    for shown in ("separable", "synflow", "Jacobian norm", "risk-coverage area", "carlini-wagner"):
        assert shown in html
    assert 'id="class-accuracy"' in html
    for measured in (",aurc,", ",jacobian_norm,", "defocus"):
        assert measured in csv
    assert "This view cannot be shown" not in html


def test_a_suite_on_the_data_set(copy: Path) -> None:
    (copy / "spirals.yaml").write_text(
        "name: spirals\nversion: 1\ndata: two-spirals\nmodels: [mlp]\nmethods: [dense]\n"
        "levels: [0.5]\nseeds: 1\nrecipe: {dense_steps: 5, sparse_steps: 5}\n",
        encoding="utf-8",
    )
    only = ("--only", "dense")
    assert "dense" in robench_of(
        copy, "run", "spirals.yaml", "--results", "s", "--jobs", "0", *only
    )


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.kind)
def test_the_recipe_names_the_example_and_its_table(recipe: Recipe) -> None:
    article = "an" if recipe.kind[0] in "aeiou" else "a"
    [section] = re.findall(
        rf"^## Add {article} {recipe.kind}\n(.*?)(?=^## |\Z)",
        CONTRIBUTING,
        re.MULTILINE | re.DOTALL,
    )
    assert f"`examples/{recipe.file}.py`" in section
    assert f"`{recipe.room}/`" in section
    assert f"`{table_of(recipe)}`" in section

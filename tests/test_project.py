"""What a newcomer opens first says what is there: documentation, workflows, forms, metadata."""

from __future__ import annotations

import re
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import robench
from robench.store.records import Store

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "robench"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = [ROOT / "docs" / "architecture.md", *DECISIONS]
ARCHITECTURE = PAGES[0].read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# -- the pages ------------------------------------------------------------------------------------


def files_named_in(text: str) -> Iterator[str]:
    """Paths of files with one of the project's endings, and folders in backticks."""
    yield from re.findall(r"(?<![\w/.<])[\w*][\w./*-]*\.(?:py|md|ya?ml|toml|cff)\b", text)
    yield from re.findall(r"`([\w./-]+/)`", text)


def is_there(name: str) -> bool:
    return any(any(folder.glob(name)) for folder in (ROOT, PACKAGE, ROOT / "docs"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_no_file_that_does_not_exist(page: Path) -> None:
    names = list(files_named_in(page.read_text(encoding="utf-8")))
    assert names
    assert [name for name in names if not is_there(name)] == []


def test_a_file_that_does_not_exist_would_be_noticed() -> None:
    text = "see `robench/no/such.py`, engine/gone.py and `robench/nothing/`"
    names = list(files_named_in(text))
    assert names == ["robench/no/such.py", "engine/gone.py", "robench/nothing/"]
    assert not any(map(is_there, names))


def test_the_architecture_has_the_floors_that_are_tested() -> None:
    floors = runpy.run_path(str(ROOT / "tests" / "test_layers.py"))["FLOORS"]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", ARCHITECTURE, re.MULTILINE)
    told = {int(floor): set(re.findall(r"`(\w+)/?`", rooms)) for floor, rooms in rows}
    assert told == dict(enumerate(floors))


def test_the_architecture_names_every_folder_of_the_package() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for name in folders if f"`{name}/`" not in ARCHITECTURE} == set()


def test_the_architecture_says_where_records_lie() -> None:
    store, cell_id = Store(Path("RESULTS")), "ab"
    for path in (
        store.record_path(cell_id),
        store.arrays_path(cell_id),
        store.checkpoint_path(cell_id),
    ):
        told = path.as_posix().replace("/ab/ab", "/ab/ID")
        assert f"{told} " in ARCHITECTURE


def test_every_decision_is_linked_and_has_its_four_parts() -> None:
    linked = set(re.findall(r"\]\(decisions/([\w-]+\.md)\)", ARCHITECTURE))
    assert linked == {page.name for page in DECISIONS}
    for page in DECISIONS:
        parts = re.findall(r"^\*\*(\w+)\.\*\*", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert parts == ["Context", "Decision", "Alternatives", "Consequences"], page.name


# -- workflows, forms, hooks ----------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_can_be_read(path: Path) -> None:
    workflow = read(path)
    # PyYAML reads YAML 1.1, where the key `on` is a truth value.
    assert set(workflow[True]) >= {"push", "pull_request"}
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_every_promised_python_is_tested() -> None:
    stated = {
        words[-1]
        for words in (entry.split(" :: ") for entry in PROJECT["classifiers"])
        if re.fullmatch(r"3\.\d+", words[-1])
    }
    tested = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["tests"]
    assert set(tested["strategy"]["matrix"]["python"]) == stated
    assert PROJECT["requires-python"] == f">={min(stated, key=lambda text: int(text[2:]))}"


def test_extras_that_a_workflow_installs_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    asked = {name for names in re.findall(r"'\.\[(.*?)\]'", text) for name in names.split(",")}
    assert {"all", "dev"} <= asked <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_can_be_read(path: Path) -> None:
    form = read(path)
    if path.name == "config.yml":
        assert set(form) == {"blank_issues_enabled"}
        return
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert {part["type"] for part in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    ids = [part["id"] for part in fields]
    labels = [part["attributes"]["label"] for part in fields]
    assert len(set(ids)) == len(ids)
    assert len(set(labels)) == len(labels)


def test_hooks_run_in_any_environment() -> None:
    repos = read(ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = [hook for repo in repos for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} >= {"ruff", "ruff-format", "mypy"}
    for hook in hooks:
        assert hook["entry"].startswith(("python -m ", "bash "))
        assert ".venv" not in hook["entry"]


# -- metadata -------------------------------------------------------------------------------------


def test_the_citation_is_complete_and_of_this_version() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert set(citation) >= {"cff-version", "message", "title", "authors"}
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The robench authors"}]
    assert citation["type"] in ("software", "dataset")
    assert citation["license"] == PROJECT["license"]
    assert citation["version"] == PROJECT["version"] == robench.__version__
    released = f"## [{robench.__version__}] - {citation['date-released']}"
    assert released in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()

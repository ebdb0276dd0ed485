"""The fixture in the tests of somebody else's repository, installed by its entry point."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import robench
from robench.conformance import RULES

PLUGIN = "robench.conformance.pytest_plugin"
METHOD = """\
from robench.methods.base import Method
from robench.methods.masks import magnitude_masks


class Mine(Method):
    name = "mine"

    def finish(self, state):
        state.notes["level"] = state.level
        state.masks = magnitude_masks(state.prunable, state.level)
"""
BROKEN = METHOD.replace("mine", "broken").replace('["level"] = state.level', '["level"] = {1, 2}')
TEST = """\
def test_conformance(robench_rule):
    robench_rule({!r})
"""
UNUSED = f"""\
import sys


def test_what_is_imported():
    assert {PLUGIN!r} in sys.modules
    assert not {{"torch", "pydantic", "numpy", "robench.methods"}} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder whose metadata announce the plug-in, as those of an installed robench do."""
    site = tmp_path_factory.mktemp("site")
    info = site / "announces_robench-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: announces-robench\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {PLUGIN}\n")
    return site


def run_pytest(folder: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def author(tmp_path_factory) -> Path:
    """A repository with two methods and a test of each."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "mine.py").write_text(METHOD)
    (folder / "broken.py").write_text(BROKEN)
    (folder / "test_mine.py").write_text(TEST.format("mine.py"))
    (folder / "test_broken.py").write_text(TEST.format("broken.py"))
    return folder


@pytest.fixture(scope="module")
def output(author: Path, site: Path) -> str:
    """What pytest says of the repository, of three rules."""
    done = run_pytest(author, site, "-v", "-k", "interface or notes or compacts")
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_each_rule_is_a_test(output: str) -> None:
    for line in (
        "test_mine.py::test_conformance[interface] PASSED",
        "test_mine.py::test_conformance[notes-are-plain] PASSED",
        "test_mine.py::test_conformance[compacts] SKIPPED",
    ):
        assert line in output
    assert "1 failed, 3 passed, 2 skipped" in output


def test_a_broken_rule_fails_with_its_line_and_no_traceback(output: str, author: Path) -> None:
    assert "test_broken.py::test_conformance[notes-are-plain] FAILED" in output
    assert "notes-are-plain: state.notes holds something else: set is no plain data" in output
    assert f"  where:   {author / 'broken.py'}:5" in output
    assert f"  next:    {RULES['notes-are-plain'].remedy}" in output
    assert "Traceback" not in output
    assert "pytest_plugin.py" not in output


def test_it_costs_nothing_where_it_is_not_used(tmp_path: Path, site: Path) -> None:
    (tmp_path / "test_it.py").write_text(UNUSED)
    # Once more by name: the same plug-in must not be registered twice.
    done = run_pytest(tmp_path, site, "-p", PLUGIN)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_announces_it():
    metadata = tomllib.loads((Path(robench.__file__).parents[1] / "pyproject.toml").read_text())
    assert metadata["project"]["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}


def test_importing_it_is_quick():
    code = (
        "import pytest, time; start = time.perf_counter(); "
        f"import {PLUGIN}; print(time.perf_counter() - start)"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 0.02

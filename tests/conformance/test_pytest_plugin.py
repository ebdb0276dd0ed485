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

pytest_plugins = ["pytester"]

PLUGIN = "robench.conformance.pytest_plugin"
OPTIONS = ("-p", PLUGIN, "-W", "error")
METHOD = """\
from robench.methods.base import Method
from robench.methods.masks import magnitude_masks


class Mine(Method):
    name = "mine"

    def finish(self, state):
        state.notes["level"] = state.level
        state.masks = magnitude_masks(state.prunable, state.level)
"""
TEST = """\
def test_conformance(robench_rule):
    robench_rule("mine.py")
"""


@pytest.fixture
def author(pytester):
    """A repository with a method and a test."""
    pytester.makepyfile(mine=METHOD, test_mine=TEST)
    return pytester


def test_each_rule_is_a_test(author):
    done = author.runpytest_inprocess("-v", "-k", "reaches or notes or compacts", *OPTIONS)
    done.stdout.fnmatch_lines_random(
        [
            "*test_conformance[[]reaches-levels] PASSED*",
            "*test_conformance[[]notes-are-plain] PASSED*",
            "*test_conformance[[]compacts] SKIPPED*",
        ]
    )
    done.assert_outcomes(passed=2, skipped=1, deselected=len(RULES) - 3)


def test_a_broken_rule_fails_with_its_line_and_no_traceback(author):
    author.makepyfile(mine=METHOD.replace('["level"] = state.level', '["level"] = object()'))
    done = author.runpytest_inprocess("-k", "notes or interface", *OPTIONS)
    done.assert_outcomes(passed=1, failed=1, deselected=len(RULES) - 2)
    done.stdout.fnmatch_lines(
        [
            "notes-are-plain: *object is no plain data*",
            f"  where:   {author.path / 'mine.py'}:5",
            "  next:    *",
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")
    done.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_methods_go_by_name_too(author):
    author.makepyfile(test_mine=TEST.replace("mine.py", "magnitude"))
    done = author.runpytest_inprocess("-k", "interface", *OPTIONS)
    done.assert_outcomes(passed=1, deselected=len(RULES) - 1)


def test_the_entry_point_is_known_and_costs_nothing_where_it_is_not_used(tmp_path):
    info = tmp_path / "site" / "announces_robench-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: announces-robench\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {PLUGIN}\n")
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\n"
        "def test_what_is_imported():\n"
        f"    assert '{PLUGIN}' in sys.modules\n"
        "    assert not {'torch', 'pydantic', 'numpy', 'robench.methods'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        # Once more by name: the same plug-in must not be registered twice.
        [sys.executable, "-m", "pytest", *OPTIONS, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
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

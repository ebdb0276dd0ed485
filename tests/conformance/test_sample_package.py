"""A method in a package of its own, installed as any other and found by its entry point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[1] / "plugins" / "snip"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which pip has installed the package, without the network."""
    source = tmp_path_factory.mktemp("source") / "snip"
    shutil.copytree(SAMPLE, source)  # building leaves files beside the source
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run(
        [*pip, *offline, str(source)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def run(site: Path, tmp_path: Path) -> Run:
    """``run("robench", "list")``: a module as a command, where the package is installed."""

    def command(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return command


def test_it_is_listed_with_its_summary(run: Run) -> None:
    done = run("robench", "list", "methods")
    (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == ["snip"]]
    assert "Zero the weights on which the loss hangs least" in line


def test_it_is_checked_by_name_and_lies_where_it_was_installed(run: Run, site: Path) -> None:
    done = run("robench", "check", "snip", "--rule", "travels-by-name", "--rule", "reloads")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"snip  {site / 'robench_snip.py'}:")
    assert "2 passed, 0 failed, 0 skipped" in done.stdout


@pytest.mark.slow
def test_it_keeps_all_rules_in_its_own_tests(run: Run, tmp_path: Path) -> None:
    shutil.copy(SAMPLE / "test_robench_snip.py", tmp_path)
    plugin = ("-p", "robench.conformance.pytest_plugin")
    done = run("pytest", *plugin, "-p", "no:cacheprovider", "-q", tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_suite_runs_it_by_name_in_worker_processes(run: Run, tmp_path: Path) -> None:
    suite = tmp_path / "with_snip.yaml"
    suite.write_text(
        "name: with-snip\nversion: 1\ndescription: for tests\ndata: digits\n"
        "models: [{name: mlp, widths: [16]}]\nmethods: [{name: snip, batches: 2}]\n"
        "levels: [0.5, 0.9]\nseeds: 1\nrecipe: {dense_steps: 20, sparse_steps: 20}\n"
    )
    done = run("robench", "run", suite, "--only", "snip", "--jobs", 1, "--results", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert "snip[batches=2]" in done.stdout
    assert "failed" not in done.stdout

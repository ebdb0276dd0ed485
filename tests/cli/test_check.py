"""`robench check`, and `robench new` whose files keep the rules from the start."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from robench.cli.check import _Doing
from robench.conformance import RULES

QUICK = ("interface", "refuses-nan", "hooks-run", "trains-once")


def rules(*names: str) -> list[str]:
    return [word for name in names for word in ("--rule", name)]


def test_each_rule_has_a_line_with_its_outcome(robench) -> None:
    status, out, _ = robench("check", "magnitude", *rules(*QUICK))
    assert status == 0
    lines = [line.split()[:2] for line in out.splitlines()[1:5]]
    assert lines == [
        ["pass", "interface"],
        ["pass", "refuses-nan"],
        ["pass", "hooks-run"],
        ["skip", "trains-once"],
    ]
    assert "3 passed, 0 failed, 1 skipped" in out


STUMBLES = """\
from robench.methods.base import Method


class Stumbles(Method):
    name = "stumbles-in-a-check"

    def after_step(self, state):
        raise RuntimeError("a mistake of mine")


class Stands(Method):
    name = "stands-in-a-check"
"""


def test_a_broken_rule_says_where_and_what_next_and_the_status_is_one(robench, tmp_path) -> None:
    report, file = tmp_path / "deep" / "report.json", tmp_path / "mine.py"
    file.write_text(STUMBLES)
    status, out, _ = robench("check", file, *rules("hooks-run", "interface"), "--json", report)
    assert status == 1
    assert "a mistake of mine" in out
    assert f"where:  {file}:8" in out
    assert RULES["hooks-run"].remedy in out

    reports = {entry["method"]: entry for entry in json.loads(report.read_text())}
    broken = reports["stumbles-in-a-check"]
    assert broken["version"] == 1
    assert broken["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert broken["robench"]
    (result,) = [r for r in broken["results"] if r["rule"] == "hooks-run"]
    assert (result["outcome"], result["where"]) == ("fail", f"{file}:8")
    assert result["seconds"] <= broken["seconds"]
    outcomes = [result["outcome"] for result in reports["stands-in-a-check"]["results"]]
    assert outcomes == ["pass", "pass"]


def test_all_checks_every_built_in_method(robench) -> None:
    status, out, _ = robench("check", "all", *rules("interface"))
    assert status == 0
    for name in ("dense", "halo", "magnitude", "random", "ssl"):
        assert f"\n{name}  " in "\n" + out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["magnitud"], "did you mean 'magnitude'"),
        (["nowhere.py"], "there is no plug-in file 'nowhere.py'"),
        (["dense", "--rule", "hook-runs"], "did you mean 'hooks-run'"),
    ],
)
def test_mistakes_exit_with_two_and_one_message(robench, words, message) -> None:
    status, _, err = robench("check", *words)
    assert status == 2
    assert message in err


def test_a_file_that_does_not_import_names_its_line(robench, tmp_path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("\n\nraise ValueError('oh')\n")
    status, _, err = robench("check", file)
    assert status == 2
    assert f"{file}:3" in err


def test_a_report_that_cannot_be_written(robench, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    report = tmp_path / "file" / "report.json"
    status, _, err = robench("check", "dense", *rules("interface"), "--json", report)
    assert status == 2
    assert str(report) in err


def test_what_takes_long_is_told(monkeypatch, capsys) -> None:
    monkeypatch.setattr("robench.cli.check._SECONDS_BETWEEN_LINES", 0.05)
    doing = _Doing()
    doing.note("convnet at level 0.5")
    with doing.told():
        doing._over.wait(0.3)
    assert "convnet at level 0.5 (0 s)" in capsys.readouterr().err


def test_a_fresh_method_keeps_the_rules(robench, tmp_path: Path) -> None:
    status, out, _ = robench("new", "method", "fresh-method", "--to", tmp_path)
    assert status == 0
    assert f"robench check {tmp_path / 'fresh_method.py'}" in out
    names = [name for name in RULES if name != "imports-cleanly"]
    status, out, _ = robench("check", tmp_path / "fresh_method.py", *rules(*names))
    assert status == 0, out
    assert "0 failed" in out


KINDS = ("method", "attack", "degradation", "model", "dataset", "stage", "metric", "view")


def test_fresh_files_pass_the_linter(robench, tmp_path: Path) -> None:
    for kind in KINDS:
        robench("new", kind, f"my-{kind}", "--to", tmp_path)
    assert len(list(tmp_path.glob("*.py"))) == 2 * len(KINDS)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_and_its_test_run_at_once(robench, tmp_path: Path, kind: str) -> None:
    status, _, _ = robench("new", kind, f"my-{kind}", "--to", tmp_path)
    assert status == 0
    plugin = ("-p", "robench.conformance.pytest_plugin")  # the entry point of an installed robench
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, "-p", "no:cacheprovider"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
    assert "passed" in done.stdout

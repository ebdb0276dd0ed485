"""What the README shows works as it stands there: scripts, commands and suites."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from PIL import Image

import robench as package
from robench.cli import app
from robench.spec import load_suite

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [
    shlex.split(line.removeprefix("$ "), comments=True)[1:]
    for block in blocks("console")
    for line in block.splitlines()
    if line.startswith("$ robench ")
]


def run_script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a user would: from a folder of their own, with nothing around it."""
    script = folder / "script.py"
    script.write_text(text)
    root = str(Path(package.__file__).parents[1])
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root},
        timeout=600,
        check=False,
    )


def test_there_is_something_to_try() -> None:
    assert len(blocks("python")) >= 1
    assert len(blocks("yaml")) >= 2
    assert {command[0] for command in COMMANDS} >= {"run", "list", "board", "show", "new", "check"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_have_the_words_and_options_that_they_are_shown_with(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("robench", list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


def test_cheap_commands_do_what_is_said(robench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32), (200, 30, 90)).save("photo.jpg")
    cheap = [words for words in COMMANDS if words[0] in ("list", "doctor") or "photo.jpg" in words]
    assert len(cheap) >= 3
    for words in cheap:
        status, out, err = robench(*words)
        assert (status, bool(out)) == (0, True), err
    (new,) = [words for words in COMMANDS if words[0] == "new"]
    assert robench(*new)[0] == 0
    (checked,) = [words for words in COMMANDS if words[0] == "check"]
    assert Path(checked[1]).is_file(), "what `new` writes is what `check` looks at"


def test_suites_can_be_read(tmp_path: Path) -> None:
    whole, *parts = blocks("yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(whole)
    suite = load_suite(path)
    for part in parts:
        assert isinstance(yaml.safe_load(part), dict)
        # A part takes the place of the key of the same name.
        keys = yaml.safe_load(whole) | yaml.safe_load(part)
        path.write_text(yaml.safe_dump(keys))
        assert load_suite(path).grids != suite.grids


def test_scripts_are_python() -> None:
    for block in blocks("python"):
        ast.parse(block)


@pytest.mark.slow
def test_a_script_needs_no_guard(tiny, tmp_path: Path) -> None:
    text = f"""\
    import robench
    print("once")
    results = robench.run({str(tiny())!r}, results="r", jobs=1, only="dense")
    print([record.status for record in results.records])
    """
    done = run_script(tmp_path, textwrap.dedent(text))
    assert done.stdout.splitlines() == ["once", "['ok', 'ok']"], done.stderr
    assert done.returncode == 0


PRELUDE = """\
import torch
import robench
from robench.data import load
from robench.data.base import to_float
from robench.models import build

_data = load("digits")
_test = _data.test.first(3)
images, labels = to_float(_test.images), _test.labels
example = images
model = build(
    "mlp", input_shape=_data.input_shape, classes=10, mean=_data.mean, std=_data.std,
    params={"widths": [16]},
).eval()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_scripts_of_the_readme_run(tiny, tmp_path: Path, number: int) -> None:
    # The suite it shows takes minutes; a tiny one does the same.
    block = blocks("python")[number].replace('run("quick"', f"run({str(tiny())!r}")
    done = run_script(tmp_path, PRELUDE + block)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_example_of_the_package_runs(tiny, tmp_path: Path) -> None:
    lines = (package.__doc__ or "").splitlines()
    text = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    assert "robench.run" in text
    done = run_script(tmp_path, text.replace('load_suite("quick")', f"load_suite({str(tiny())!r})"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "leaderboard" / "site" / "index.html").is_file()


@pytest.mark.slow
def test_the_method_that_new_writes_passes_its_check(robench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for verb in ("new", "check"):
        (words,) = [words for words in COMMANDS if words[0] == verb]
        status, out, err = robench(*words)
        assert status == 0, out + err

"""What an import does, seen in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.conformance import RULES, check_rule, subjects_of

METHOD = """\
import os
import sys
import time

from robench.methods.base import Method

{top_level}


class Mine(Method):
    name = "mine-{name}"
"""


def held(tmp_path: Path, name: str, top_level: str):
    file = tmp_path / f"{name}.py"
    file.write_text(METHOD.format(name=name, top_level=top_level))
    (subject,) = subjects_of(file)
    return check_rule(RULES["imports-cleanly"], subject), file


@pytest.mark.slow
def test_a_plain_file_passes_even_if_it_prints(tmp_path):
    result, _ = held(tmp_path, "prints", "print('hello')")
    assert result.outcome == "pass", result.why


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "top_level", "words"),
    [
        ("seeds", "import torch; torch.manual_seed(1)", "torch's global generator changed"),
        ("fails", "assert 'pytest' in sys.modules, 'not here'", "AssertionError: not here"),
        ("exits", "'pytest' in sys.modules or sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_what_it_changes_or_raises_is_told_with_its_line(tmp_path, name, top_level, words):
    result, file = held(tmp_path, name, top_level)
    assert result.outcome == "fail", result.why
    assert words in result.why
    assert result.where == f"{file}:7"


@pytest.mark.slow
def test_a_process_that_dies_is_a_broken_rule(tmp_path):
    result, _ = held(tmp_path, "dies", "'pytest' in sys.modules or os._exit(7)")
    assert result.outcome == "fail"
    assert "status 7" in result.why


@pytest.mark.slow
def test_an_import_that_takes_long(tmp_path):
    result, _ = held(tmp_path, "sleeps", "'pytest' in sys.modules or time.sleep(5.1)")
    assert result.outcome == "fail"
    assert "takes 5.1 s" in result.why

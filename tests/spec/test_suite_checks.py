"""Names in suites, and values given twice, with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.errors import SuiteError, UnknownNameError
from robench.spec import load_suite

SUITE = """name: s
version: 1
data: digits
models: [mlp]
methods: [halo{method}]
levels: [0.5{level}]
evaluate:
  degrade: {{kinds: [contrast{kind}]}}
"""


def load(tmp_path: Path, **more: str):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(**{"method": "", "level": "", "kind": "", **more}))
    return load_suite(path)


def test_a_sound_suite_passes(tmp_path: Path) -> None:
    assert load(tmp_path, method=", l1", level=", 0.6", kind=", rotation").name == "s"


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ({"method": ", hallo"}, 5, "hallo"),
        ({"kind": ", contrats"}, 8, "contrats"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_its_line(
    tmp_path: Path, more: dict[str, str], line: int, words: str
) -> None:
    with pytest.raises(UnknownNameError, match=words) as caught:
        load(tmp_path, **more)
    assert caught.value.where == f"{tmp_path / 'suite.yaml'}:{line}"


@pytest.mark.parametrize(
    ("more", "line"),
    [({"method": ", halo"}, 5), ({"level": ", 0.5"}, 6), ({"kind": ", contrast"}, 8)],
)
def test_a_value_given_twice_is_told_with_its_line(
    tmp_path: Path, more: dict[str, str], line: int
) -> None:
    with pytest.raises(SuiteError, match="given twice") as caught:
        load(tmp_path, **more)
    assert caught.value.where == f"{tmp_path / 'suite.yaml'}:{line}"

"""What pydantic says about a suite, in words that a person can act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.errors import SuiteError
from robench.spec import load_suite

SOUND = "name: s\nversion: 1\ndata: digits\nmodels: [mlp]\nmethods: [halo]\n"


@pytest.mark.parametrize(
    ("line", "where", "words"),
    [
        ("levels: [1.5]", 6, "(got 1.5)"),
        ("seeds: many", 6, "count from 1"),
        ("levles: [0.5]", 6, "did you mean 'levels'"),
        ("recipe: {dense_steps: 1.5}", 6, "must be a whole number"),
        ("recipe: [3]", 6, "must be a mapping"),
        ("levels: []", 6, "must not be empty"),
    ],
)
def test_one_sentence_with_line_value_and_remedy(
    tmp_path: Path, line: str, where: int, words: str
) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(f"{SOUND}{line}\n")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert caught.value.where == f"{path}:{where}"
    assert words in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_what_is_missing_is_named_and_more_problems_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text("version: 1\ndata: digits\nmodels: [mlp]\nmethods: [halo]\nlevels: [2]\n")
    with pytest.raises(SuiteError, match="1 more problem in this file"):
        load_suite(path)

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from robench.board.charts.drawing import Drawing
from robench.board.model.leaderboard import Leaderboard, leaderboard
from robench.board.render.markdown import escaped, readme
from robench.board.views import views_of
from robench.spec import PluginRef, Record

Make = Callable[..., list[Record]]


def readme_of(records: list[Record]) -> str:
    board = leaderboard(records)
    return readme(board, views_of(board), title="A board")


def table_lines(text: str) -> list[str]:
    """Those of the table of all rows, which comes after the tables of the views."""
    whole = text[text.index("## All rows") :]
    return [line for line in whole.splitlines() if line.startswith("|")]


def test_a_row_for_each_row(board: Leaderboard, views: dict[str, Drawing]) -> None:
    text = readme(board, views.values(), title="A board")
    assert len(table_lines(text)) == len(board.rows) + 2
    assert "![Accuracy against achieved sparsity](plots/accuracy.svg)" in text
    assert "3 †" in text  # an incomplete row is marked
    assert "failed: train, seeds 0, 1, 2: failed: the loss became NaN" in text


def test_no_name_breaks_the_table(make: Make) -> None:
    names = ("a|b", "line\nbreak", "`code`", "<b>html</b>", "[link](javascript:alert(1))")
    text = readme_of(
        make(
            data=("digits",),
            models=(PluginRef(name="m|n", version=1),),
            methods=tuple((name, ()) for name in names),
            levels=(0.9,),
            seeds=1,
            distortions=(),
        )
    )
    lines = table_lines(text)
    assert len(lines) == len(names) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {15}
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert "<b>" not in text.replace("\\<b\\>", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("magnitude[scope=layer]", "magnitude\\[scope=layer\\]"),
        ("a | b", "a \\| b"),
        ("two\nlines", "two lines"),
        ("plain", "plain"),
    ],
)
def test_text_means_itself(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_no_records() -> None:
    assert "There are no records yet" in readme_of([])

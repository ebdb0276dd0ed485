from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.board import summary, summary_text
from robench.spec import PluginRef, Record

Make = Callable[..., list[Record]]


@pytest.fixture(scope="module")
def texts(records: list[Record]) -> dict[int, str]:
    """The summary at two widths."""
    return {width: summary_text(records, width=width) for width in (80, 120)}


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_terminal(texts: dict[int, str], width: int) -> None:
    lines = texts[width].splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line.startswith("digits · mlp")] == [
        "digits · mlp",
        "digits · mlp, trained on salt-and-pepper",
        "digits · mlp, trained on uniform-noise",
    ]


def test_what_a_line_says(texts: dict[int, str]) -> None:
    lines = texts[120].splitlines()
    [dense, *_] = [line.split() for line in lines if line.startswith("dense")]
    assert dense[1] == "3"
    assert dense[2].replace(".", "").isdigit()
    assert dense[3].startswith("±")
    assert any("99%" in line and "–" in line and "failed" in line for line in lines)
    assert any("⚑" in line for line in lines[:-3])


def test_brackets_are_no_markup(texts: dict[int, str]) -> None:
    assert "magnitude[scope=layer]" in texts[120]


def test_names_cannot_write_to_the_terminal(make: Make) -> None:
    records = make(
        data=("digits",),
        models=(PluginRef(name="mlp", version=1),),
        methods=(("evil\x1b[31m\nname" + "W" * 200, ()),),
        levels=(0.9,),
        seeds=1,
        distortions=(),
    )
    text = summary_text(records, width=80)
    assert "\x1b" not in text
    assert text.count("W") < 80
    assert max(map(len, text.splitlines())) <= 80


def test_stages_that_did_not_run_have_no_column(make: Make) -> None:
    mlp = (PluginRef(name="mlp", version=1),)
    records = make(
        data=("digits",), models=mlp, levels=(0.9,), distortions=(), stages=("train",), seeds=1
    )
    text = summary_text(records)
    assert "accuracy, %" in text
    assert "speed-up" not in text


def test_no_records() -> None:
    assert summary_text([]).strip() == "there are no results yet"
    assert summary([]).row_count == 1

"""Finding the line after which something is no longer what it was."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from robench.conformance.lines import LineWatch, line_in, line_now

HERE = frozenset([__file__])
box = {"a": 0, "b": 0}


def line_of(text: str) -> str:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return f"{__file__}:{number}"


def helper():
    box["a"] = 1  # in a helper
    return 2


def changes():
    box["b"] = 5
    box["a"] = helper() * 3  # after the helper
    box["b"] = 0
    return box


def watched(function) -> dict[str, str]:
    box.update(a=0, b=0)
    watch = LineWatch(HERE, lambda: dict(box))
    with watch.watching(dict(box)):
        function()
    return watch.departures


def test_the_last_line_that_changed_it_counts_and_what_was_put_back_does_not():
    assert watched(changes) == {"a": line_of("after the helper")}


def test_a_line_in_a_helper_of_the_same_file():
    assert watched(helper) == {"a": line_of("in a helper")}


def test_other_files_and_the_tracer_of_others_are_left_alone():
    before = sys.gettrace()
    watch = LineWatch(frozenset(["elsewhere.py"]), lambda: dict(box))
    with watch.watching(dict(box)):
        helper()
    assert watch.departures == {}
    assert sys.gettrace() is before


def test_watching_ends_where_the_block_raises():
    before = sys.gettrace()
    watch = LineWatch(HERE, lambda: dict(box))
    with pytest.raises(ZeroDivisionError), watch.watching(dict(box)):
        raise ZeroDivisionError
    assert sys.gettrace() is before


def test_where_a_call_in_progress_is():
    assert line_now(HERE) == line_of("now")  # now
    assert line_now(frozenset()) is None


def test_where_a_traceback_went_through():
    def fails():
        raise ZeroDivisionError  # then

    with pytest.raises(ZeroDivisionError) as caught:
        fails()
    assert line_in(HERE, caught.tb) == line_of("then")
    assert line_in(frozenset(), caught.tb) is None

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robench.escape import for_csv, for_terminal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("halo[scope=layer] @ 0.9 · ± ⚑ «é» 数", "halo[scope=layer] @ 0.9 · ± ⚑ «é» 数"),
        ("\x1b]0;title\x07", r"\u001b]0;title\u0007"),
        ("\x9b2J", r"\u009b2J"),
        ("a\r\nb", r"a\u000d\u000ab"),
        ("a\tb", "a b"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("evil\u202egnp.exe", r"evil\u202egnp.exe"),
        ("zero\u200bwidth\u2028", r"zero\u200bwidth\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\udb40\udc41"),
    ],
)
def test_what_a_terminal_sees(text: str, expected: str) -> None:
    assert for_terminal(text) == expected


def test_lines_stay_where_they_may() -> None:
    assert for_terminal("a\nb\x1b", lines=True) == "a\nb\\u001b"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = for_terminal(text, lines=True).replace("\n", "")
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_stays_the_same_data(text: str) -> None:
    written = json.dumps({"name": text}, ensure_ascii=False, indent=2)
    assert json.loads(for_terminal(written, lines=True)) == {"name": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+cmd", "'+1+cmd"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("-0.5", "-0.5"),
        ("+3", "+3"),
        ("-1e-05", "-1e-05"),
        ("-inf", "-inf"),
        ("halo=1", "halo=1"),
        ("", ""),
        ("'=1", "'=1"),
    ],
)
def test_no_field_is_a_formula(text: str, expected: str) -> None:
    assert for_csv(text) == expected

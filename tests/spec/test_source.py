"""What a YAML file may do to its reader."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.errors import SuiteError
from robench.spec import load_suite
from robench.spec.source import read_yaml

LAUGHS = "a0: &a0 [l, l, l, l, l, l, l, l, l, l]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str) -> Path:
        path = tmp_path / "trial.yaml"
        path.write_text(text)
        return path

    return writer


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: !foo 3\n", 2, "the tag '!foo' means nothing"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "means nothing in a suite"),
        ("a: !!binary aaaa\n", 1, "means nothing in a suite"),
        ("a: 1\nb: &x [*x]\n", 2, "an alias stands inside what it names"),
        ("b: &x {c: {d: *x}}\n", 1, "an alias stands inside what it names"),
        (LAUGHS, None, "aliases unfold into more than a suite can hold"),
        ("a: 1\nb: " + "[" * 3000, 2, "more than 30 deep"),
        ("a: 1\nb: " + "{a: " * 3000, 2, "more than 30 deep"),
        ("a: [" + "1, " * 60_000 + "]", 1, "holds too much"),
        ("a: 1\nb: " + "9" * 6000, 2, "has 6000 digits"),
        ("a: 1\nb: \x00\n", 2, "#x0000"),
        ("a: !!int foo\n", 1, "invalid literal"),
        ("? [a, b]\n: c\n", 1, "a key is a name"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
    ],
)
def test_what_no_suite_needs_is_refused_at_once_with_its_line(write, text, line, words) -> None:
    path = write(text)
    clock = time.process_time()
    with pytest.raises(SuiteError) as caught:
        read_yaml(path)
    assert time.process_time() - clock < 10  # minutes and gigabytes, if it unfolds
    assert words in caught.value.what
    assert caught.value.where is not None
    file, _, found = caught.value.where.rpartition(":")
    assert file == str(path)
    assert line is None or int(found) == line


def test_dates_are_text_even_impossible_ones(write) -> None:
    value, _ = read_yaml(write("a: 2026-11-30\nb: 2026-13-45\n"))
    assert value == {"a": "2026-11-30", "b": "2026-13-45"}


def test_aliases_and_merged_keys_still_work(write) -> None:
    value, source = read_yaml(write("x: &x {k: 1}\ny:\n  <<: *x\n  z: [*x]\n"))
    assert value == {"x": {"k": 1}, "y": {"k": 1, "z": [{"k": 1}]}}
    assert source.lines["y", "z", 0] == 1  # where the value itself stands


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(SuiteError, match="no ordinary file"):
            read_yaml(path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 300_000)
    with pytest.raises(SuiteError, match="too large"):
        read_yaml(large)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!?|>#'\"%@ \n,<1.")), max_size=60))
def test_any_text_is_a_suite_error_or_a_value(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    try:
        read_yaml(path)
    except SuiteError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    try:
        load_suite(path)
    except SuiteError as error:
        assert str(path) in str(error)  # noqa: PT017

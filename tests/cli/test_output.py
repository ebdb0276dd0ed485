"""What the verbs write is harmless to a terminal."""

from __future__ import annotations

import logging

import pytest

from robench.cli.output import say, show_warnings, tell


def test_results_and_messages_go_their_own_ways(capsys: pytest.CaptureFixture[str]) -> None:
    say("a \x1b[31mred\x1b[0m name\n")
    tell("a message\n")
    out, err = capsys.readouterr()
    assert "\x1b" not in out
    assert "red" in out
    assert out.endswith("name\n")
    assert err == "a message\n"


def test_warnings_that_nobody_else_handles_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    show_warnings()
    assert logging.lastResort is not None
    record = logging.LogRecord("robench", logging.WARNING, "", 0, "be%sware", ("\x1b[2J",), None)
    logging.lastResort.handle(record)
    err = capsys.readouterr().err
    assert err.startswith("robench: be")
    assert "\x1b" not in err

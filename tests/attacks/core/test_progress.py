"""A bar on standard error, for those who look at one."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable

import pytest
from rich.live import Live

from robench.attacks.core import progress
from robench.attacks.core.progress import shown
from robench.attacks.suite.minimal import minimal_l2


class Terminal(io.StringIO):
    """What is drawn on a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def looking(monkeypatch) -> Callable[[], Terminal]:
    """Makes standard error a terminal, on which bars come at once."""
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")

    def look() -> Terminal:
        # In the test itself: pytest sets standard error anew when it calls it.
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        return terminal

    return look


def work(wanted: bool | None) -> None:
    with shown(3, wanted) as bar:
        for name in ("deepfool", "ddn", "alma"):
            bar.doing(name)
            time.sleep(0.15)
            bar.advance(1)


def test_a_bar_names_what_is_done_and_goes_away(looking) -> None:
    terminal = looking()
    work(None)
    drawn = terminal.getvalue()
    assert "alma" in drawn
    assert "%" in drawn
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]


def test_nothing_is_drawn_where_nobody_looks(monkeypatch, capsys) -> None:
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 0.0)
    work(None)  # captured: no terminal
    work(False)
    assert capsys.readouterr() == ("", "")


def test_what_is_done_soon_draws_nothing(looking, monkeypatch) -> None:
    terminal = looking()
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 60.0)
    started = time.monotonic()
    work(True)
    assert terminal.getvalue() == ""
    assert time.monotonic() - started < 30


def test_a_bar_that_is_there_already_may_stay(looking) -> None:
    looking()
    with Live(refresh_per_second=1):
        work(True)


def test_it_goes_away_when_the_work_fails(looking) -> None:
    looking()
    bars = []

    def fail() -> None:
        with shown(1, True) as bar:
            bars.append(bar)
            time.sleep(0.1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert bars[0]._drawn is None


def test_an_evaluation_shows_it(looking, digits, short) -> None:
    terminal = looking()
    images, labels = digits.correct(6)
    minimal_l2(digits.model, images, labels, short, batch_size=2)
    assert "checks of the evaluation" in terminal.getvalue()
    terminal = looking()
    minimal_l2(digits.model, images, labels, short, progress=False)
    assert terminal.getvalue() == ""

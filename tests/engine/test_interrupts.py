"""Interrupts of the user, and limits of time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from robench.engine.interrupts import OverLimit, is_interrupted, listening, within


def send(number: int) -> None:
    """Send this process a signal, and give it the time to arrive."""
    os.kill(os.getpid(), number)
    time.sleep(1)


def swallow_once(told: list[float]) -> None:
    """Code that goes on after it was told that its time is over; the second time it gives up."""
    while True:
        try:
            time.sleep(5)
        except OverLimit:
            told.append(time.monotonic())
            if len(told) == 2:
                raise


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """Ctrl+C interrupts, also where these tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_in_the_background_an_interrupt_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with listening():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
    assert not is_interrupted()


def test_a_signal_is_told_from_what_code_raises() -> None:
    with listening():
        with pytest.raises(KeyboardInterrupt):
            raise KeyboardInterrupt
        assert not is_interrupted()
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert is_interrupted()
    with listening():
        assert not is_interrupted()


def test_a_polite_kill_counts_and_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with listening(), pytest.raises(KeyboardInterrupt):
        send(signal.SIGTERM)
    assert is_interrupted()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_end_of_the_time_is_told_again_to_code_that_swallows_it() -> None:
    before = signal.getsignal(signal.SIGALRM)
    told: list[float] = []
    with pytest.raises(OverLimit), within(0.05):
        swallow_once(told)
    assert len(told) == 2
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_elsewhere_than_in_the_main_thread_nothing_is_changed() -> None:
    ended: list[bool] = []

    def run() -> None:
        with listening(), within(0.01):
            time.sleep(0.05)
            ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ended == [True]

"""Attacks that never end."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from robench.attacks.core import watchdog
from robench.attacks.core.base import Attack
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle
from robench.attacks.core.watchdog import SilentError, ended_when_silent


class Mute(Attack):
    """Asks once, and then computes for ever."""

    name = "mute"

    def run(self, oracle: Oracle) -> Tensor:
        oracle.query(1 - oracle.images, oracle.rows)
        while True:
            try:
                torch.rand(3).sum()
            except Exception:  # noqa: BLE001
                continue


class Slow:
    """An oracle that is being asked, or was asked a while ago."""

    def __init__(self, idle_since: float) -> None:
        self.idle_since = idle_since


def test_an_attack_that_asks_nothing_is_ended_and_what_it_found_counts(digits, monkeypatch) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE_S", 0.2)
    images, labels = digits.correct(10)
    started = time.monotonic()
    result = Mute().attack(check_inputs(digits.model, images, labels), limit=100)
    assert 0.2 < time.monotonic() - started < 5
    assert result.error == "made no query for 0.2 s and was aborted"
    assert result.forwards.tolist() == [1] * 10
    assert result.distance.isfinite().any()


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_question_that_takes_long_is_no_silence() -> None:
    with ended_when_silent(Slow(float("inf")), 0.05):
        spin(0.3)


def test_silence_counts_from_the_last_answer() -> None:
    oracle = Slow(time.monotonic())
    with ended_when_silent(oracle, 0.2):
        for _ in range(4):
            spin(0.1)
            oracle.idle_since = time.monotonic()
    with pytest.raises(SilentError), ended_when_silent(oracle, 0.2):
        spin(5)


def test_nothing_is_raised_afterwards() -> None:
    for _ in range(20):
        with ended_when_silent(Slow(time.monotonic()), 0.01):
            spin(0.001)
    spin(0.1)

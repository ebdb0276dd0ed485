"""Time for a choice: what is begun is finished, and what it takes is shown to who looks."""

from __future__ import annotations

import io
import sys

import pytest

from robench.errors import InputError
from robench.graph.budget import Budget


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """Somebody looks."""

    def isatty(self) -> bool:
        return True


def spent(budget: Budget, clock: Clock, *, each_s: float, count: int = 9) -> list[int]:
    done: list[int] = []
    for task in budget.spend(range(count), "timing"):
        clock.now += each_s
        done.append(task)
    return done


@pytest.mark.parametrize(("seconds", "done"), [(0, 0), (1, 1), (4, 2), (4.1, 3), (1e9, 9)])
def test_no_task_is_begun_when_the_time_is_over(seconds: float, done: int) -> None:
    clock = Clock()
    budget = Budget(seconds, clock)
    assert spent(budget, clock, each_s=2.0) == list(range(done))
    assert budget.is_spent is (seconds <= clock.now)


def test_a_part_is_a_share_of_what_is_left() -> None:
    clock = Clock()
    budget = Budget(10, clock)
    clock.now = 4
    half = budget.part(0.5)
    clock.now = 6.9
    assert not half.is_spent
    clock.now = 7.1
    assert half.is_spent
    assert not budget.is_spent
    assert spent(Budget(float("inf"), clock), clock, each_s=1e6) == list(range(9))
    clock.now = 11
    assert budget.part(0.5).is_spent


@pytest.mark.parametrize("seconds", [-1, float("nan"), "10", None, True])
def test_what_is_no_time_is_refused(seconds: object) -> None:
    with pytest.raises(InputError, match="choice_s="):
        Budget(seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(("each_s", "is_shown"), [(0.1, False), (1.1, True)])
def test_it_shows_where_it_is_after_two_seconds(
    monkeypatch: pytest.MonkeyPatch, each_s: float, is_shown: bool
) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    clock = Clock()
    spent(Budget(1e9, clock), clock, each_s=each_s)
    assert ("timing" in stream.getvalue()) is is_shown


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    spent(Budget(1e9, clock), clock, each_s=100.0)
    assert capsys.readouterr() == ("", "")


def test_the_bar_goes_where_the_caller_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    clock = Clock()
    for task in Budget(1e9, clock).spend(range(9), "timing"):
        clock.now += 3
        if task == 3:
            break
    stream.write("after")
    assert stream.getvalue().endswith("after")

"""The sampler on a machine whose clock is ours: no assertion here depends on real time."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from robench.errors import InputError
from robench.measure.latency import (
    EventStopwatch,
    LatencySample,
    Stopwatch,
    median_interval,
    sample_latency,
    stopwatch_for,
)

Cost = Callable[[], float]


class Machine:
    """A clock that calls move on, and a log of what happened."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.log: list[str] = []
        self.pauses_s: list[float] = []

    def call(self, name: str, cost_s: float | Cost) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.now_s += cost_s() if callable(cost_s) else cost_s

        return run

    def pause(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds

    def watch(
        self,
        synchronise: Callable[[], None] = lambda: None,
        processor_clock: Callable[[], float] | None = None,
    ) -> Stopwatch:
        return Stopwatch(lambda: self.now_s, synchronise, self.pause, processor_clock)


def test_order_is_a_b_b_a_and_figures_are_exact() -> None:
    machine = Machine()
    calls = {"a": machine.call("a", 6e-3), "b": machine.call("b", 3e-3)}
    sample = sample_latency(calls, stopwatch=machine.watch())
    assert machine.log[-60:] == ["a", "b", "b", "a"] * 15
    assert sample.status == "ok"
    latency = sample.latency("a")
    assert latency.median_ms == pytest.approx(6.0)
    assert (latency.repeats, latency.calls_per_repeat) == (30, 1)
    speed_up = sample.speed_up("a", "b")
    assert speed_up.value == pytest.approx(2.0)
    assert speed_up.low == pytest.approx(2.0)
    assert speed_up.high == pytest.approx(2.0)
    assert speed_up.blocks == 15


def test_three_calls_go_there_and_back() -> None:
    machine = Machine()
    calls = {name: machine.call(name, 5e-3) for name in "abc"}
    sample_latency(calls, stopwatch=machine.watch())
    assert machine.log[-6:] == ["a", "b", "c", "c", "b", "a"]


def test_short_calls_are_timed_many_at_a_time() -> None:
    machine = Machine()
    sample = sample_latency({"a": machine.call("a", 1e-5)}, stopwatch=machine.watch())
    assert sample.latency("a").calls_per_repeat == pytest.approx(200, abs=1)
    assert sample.latency("a").median_ms == pytest.approx(1e-2)


def test_drift_of_the_machine_does_not_reach_the_ratio() -> None:
    """Everything gets slower by a third; timing all of A before all of B would say 1.7 for 2."""
    machine = Machine()

    def drifting(cost_s: float) -> Cost:
        return lambda: cost_s * (1 + machine.now_s / 0.9)

    calls = {"a": machine.call("a", drifting(2e-3)), "b": machine.call("b", drifting(1e-3))}
    sample = sample_latency(calls, stopwatch=machine.watch())
    assert sample.noise > 0.05
    assert sample.speed_up("a", "b").value == pytest.approx(2.0, rel=0.01)
    before_after = sample.seconds["a"][:8].mean() / sample.seconds["b"][8:].mean()
    assert before_after < 1.9


def test_slow_first_calls_are_warm_up() -> None:
    machine = Machine()
    costs = itertools.chain((5e-3 * 0.8**k for k in range(40)), itertools.repeat(5e-3 * 0.8**40))
    sample = sample_latency(
        {"a": machine.call("a", lambda: next(costs))}, stopwatch=machine.watch()
    )
    assert sample.latency("a").median_ms == pytest.approx(5 * 0.8**40)
    assert machine.pauses_s == []


def test_a_noisy_round_is_taken_again_after_a_pause() -> None:
    machine = Machine()
    flip = itertools.cycle([1.0, 1.0, 3.0])

    def disturbed() -> float:
        return 5e-3 * (next(flip) if not machine.pauses_s else 1.0)

    sample = sample_latency({"a": machine.call("a", disturbed)}, stopwatch=machine.watch())
    assert len(machine.pauses_s) == 1
    assert sample.status == "ok"
    assert sample.latency("a").median_ms == pytest.approx(5.0)


def test_noise_that_stays_is_told_and_the_calmest_round_is_given() -> None:
    machine = Machine()
    flip = itertools.cycle([1.0, 2.0])

    def disturbed() -> float:
        size = 0.5 if len(machine.pauses_s) == 2 else 1.0
        return 25e-3 * (1 + size * next(flip))

    sample = sample_latency({"a": machine.call("a", disturbed)}, stopwatch=machine.watch())
    assert sample.status == "noisy"
    assert len(machine.pauses_s) == 4
    assert sample.noise == pytest.approx(0.5 / 1.75)


def test_timings_of_a_noisy_machine_average_over_more_calls() -> None:
    machine = Machine()
    flip = itertools.cycle([1.0, 1.0, 2.0, 2.0])
    calls = {"a": machine.call("a", lambda: 1e-3 * next(flip)), "b": machine.call("b", 50e-3)}
    sample = sample_latency(calls, stopwatch=machine.watch())
    assert sample.status == "ok"
    assert sample.latency("a").calls_per_repeat > 3
    assert sample.latency("b").calls_per_repeat == 1
    assert len(machine.pauses_s) >= 1


def test_no_new_round_after_the_limit() -> None:
    machine = Machine()
    flip = itertools.cycle([1.0, 2.0])
    sample = sample_latency(
        {"a": machine.call("a", lambda: next(flip))}, limit_s=1.0, stopwatch=machine.watch()
    )
    assert sample.status == "noisy"
    assert machine.pauses_s == []


def test_work_that_a_device_has_not_finished_counts() -> None:
    machine = Machine()
    queued_s = [0.0]

    def launch() -> None:
        queued_s[0] += 4e-3

    def synchronise() -> None:
        machine.now_s += queued_s[0]
        queued_s[0] = 0.0

    sample = sample_latency({"a": launch}, stopwatch=machine.watch(synchronise))
    assert sample.latency("a").median_ms == pytest.approx(4.0)


@pytest.mark.parametrize(("share", "status"), [(0.5, "noisy"), (0.89, "noisy"), (0.97, "ok")])
def test_a_processor_that_is_shared_is_noise_however_even(share: float, status: str) -> None:
    machine = Machine()
    watch = machine.watch(processor_clock=lambda: share * machine.now_s)
    sample = sample_latency({"a": machine.call("a", 5e-3)}, stopwatch=watch)
    assert sample.noise < 1e-9
    assert sample.processor_share == pytest.approx(share)
    assert sample.status == status


def test_a_quiet_round_counts_before_a_steady_one_that_shared() -> None:
    """The first round is steady at a third of the processor, the next ones unsteady, but alone."""
    machine = Machine()
    flip = itertools.cycle([1.0, 1.02])

    def at_processor() -> float:
        return machine.now_s / 3 if not machine.pauses_s else machine.now_s

    def cost_s() -> float:
        return 5e-3 * (3.0 if not machine.pauses_s else next(flip))

    sample = sample_latency(
        {"a": machine.call("a", cost_s)}, stopwatch=machine.watch(processor_clock=at_processor)
    )
    assert sample.status == "ok"
    assert len(machine.pauses_s) == 1
    assert sample.latency("a").median_ms < 5.2


def test_the_watch_of_the_cpu_knows_what_a_busy_thread_and_a_sleeping_one_are() -> None:
    watch = stopwatch_for(torch.device("cpu"))
    assert not isinstance(watch, EventStopwatch)
    if watch.processor_clock is None:
        pytest.skip("this system counts the time of a thread too coarsely")
    before = watch.processor_clock()
    time.sleep(0.05)
    assert watch.processor_clock() - before < 0.02


@pytest.mark.gpu
def test_events_time_what_a_gpu_does() -> None:
    device = torch.device("cuda")
    watch = stopwatch_for(device)
    assert isinstance(watch, EventStopwatch)
    matrix = torch.rand(2048, 2048, device=device)
    one = watch.time(lambda: matrix @ matrix, 20)
    two = watch.time(lambda: (matrix @ matrix) @ matrix, 20)
    assert 1e-6 < one < 1e-1
    assert 1.4 < two / one < 2.8


def test_quartiles_and_noise_are_those_of_numpy() -> None:
    seconds = np.random.default_rng(0).uniform(1e-3, 2e-3, (15, 2))
    sample = LatencySample({"a": seconds}, {"a": 3})
    latency = sample.latency("a")
    first, median, third = np.percentile(seconds * 1e3, [25, 50, 75])
    assert latency.iqr_ms == pytest.approx(third - first)
    assert latency.relative_iqr == pytest.approx((third - first) / median)
    assert sample.noise == latency.relative_iqr


@pytest.mark.parametrize("count", [6, 7, 15, 30, 101])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_median_interval_is_that_of_the_sign_test(count: int, confidence: float) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = stats.quantile_test(values, p=0.5).confidence_interval(confidence)
    assert median_interval(values, confidence) == pytest.approx((expected.low, expected.high))


def test_median_interval_covers_the_median_of_skewed_values() -> None:
    rng = np.random.default_rng(0)
    true_median = np.log(2.0)
    intervals = [median_interval(rng.exponential(size=15)) for _ in range(2000)]
    covered = np.mean([low <= true_median <= high for low, high in intervals])
    assert 0.95 <= covered <= 0.98  # exactly 0.965 in expectation


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_values_give_their_range(count: int) -> None:
    values = np.arange(count, dtype=float)
    assert median_interval(values) == (0.0, count - 1.0)


def test_one_thread_is_left_again_even_by_an_error() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    def failing() -> None:
        seen.append(torch.get_num_threads())
        raise ZeroDivisionError

    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            sample_latency({"a": failing}, stopwatch=Machine().watch())
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_garbage_is_collected_again_after_an_error() -> None:
    def failing() -> None:
        assert not gc.isenabled()
        raise KeyError("a call")

    with pytest.raises(KeyError):
        sample_latency({"a": failing}, stopwatch=Machine().watch())
    assert gc.isenabled()


@pytest.mark.parametrize(("repeats", "calls"), [(29, {"a": print}), (30, {})])
def test_too_little_to_time_is_refused(repeats: int, calls: dict[str, Callable[[], None]]) -> None:
    with pytest.raises(InputError, match="30 repeats or more"):
        sample_latency(calls, repeats=repeats)

"""Latency of calls, measured so that noise of the machine is detected.

The calls are interleaved as A B B A, so that drift of the machine affects all of them alike, and
are compared block by block: another process on the CPU slows both sides of a ratio. The median and
its interval are distribution-free. Samples with too much spread are flagged as noisy. So are
samples that shared the CPU: time slices of a few milliseconds slow every long call by the same
factor, which the spread does not show.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from robench.errors import InputError

__all__ = [
    "EventStopwatch",
    "Latency",
    "LatencySample",
    "SpeedUp",
    "Stopwatch",
    "median_interval",
    "sample_latency",
    "stopwatch_for",
]

Call: TypeAlias = Callable[[], object]

LEAST_REPEATS = 30
NOISY_ABOVE = 0.10
"""A sample is noisy if the interquartile range exceeds this share of the median."""
LEAST_PROCESSOR_SHARE = 0.9
"""A sample is noisy if its thread was running for a smaller share of the time."""
_TIMING_S = 2e-3
_LATER_TIMINGS_S = (2e-3, 4e-3, 8e-3, 8e-3)
"""Seconds per timing in the rounds after a noisy one; the first repeats the usual length, since the
noise may have been a busy moment."""
_WARM_UP_CALLS = 5
_WARM_UP_ROUNDS = 20
_STEADY_WITHIN = 0.05
_FIRST_PAUSE_S = 0.1
_FINE_S = 1e-4
"""Coarsest resolution of a thread-time clock that is used, in seconds."""


@dataclass(frozen=True)
class Latency:
    """Time of one call.

    Attributes:
        median_ms: median over the repeats.
        first_quartile_ms: a quarter of the repeats were faster.
        third_quartile_ms: a quarter of the repeats were slower.
        repeats: number of timings.
        calls_per_repeat: number of calls per timing, so that it takes 2 ms or more.
    """

    median_ms: float
    first_quartile_ms: float
    third_quartile_ms: float
    repeats: int
    calls_per_repeat: int

    @property
    def iqr_ms(self) -> float:
        """Interquartile range."""
        return self.third_quartile_ms - self.first_quartile_ms

    @property
    def relative_iqr(self) -> float:
        """Interquartile range as a share of the median."""
        return self.iqr_ms / self.median_ms


@dataclass(frozen=True)
class SpeedUp:
    """Speed-up of one call over another: the ratio of their latencies.

    Attributes:
        value: median of the ratios of the blocks.
        low: lower bound of the 95 % interval of that median.
        high: upper bound.
        blocks: number of A B B A blocks.
    """

    value: float
    low: float
    high: float
    blocks: int


@dataclass(frozen=True, eq=False)
class LatencySample:
    """Interleaved timings of several calls.

    Attributes:
        seconds: name of the call → float64[blocks, 2], seconds per call.
        calls: name of the call → number of calls per timing.
        processor_share: share of the time for which this thread was running; `None` if it is
            unknown, or does not matter, as on a GPU.
    """

    seconds: Mapping[str, NDArray[np.float64]]
    calls: Mapping[str, int]
    processor_share: float | None = None

    @property
    def noise(self) -> float:
        """The largest interquartile range of a call, as a share of its median."""
        return max(self.latency(name).relative_iqr for name in self.seconds)

    @property
    def status(self) -> Literal["ok", "noisy"]:
        """``"noisy"`` if the figures should not be published."""
        shared = self.processor_share is not None and self.processor_share < LEAST_PROCESSOR_SHARE
        return "noisy" if shared or self.noise > NOISY_ABOVE else "ok"

    def latency(self, name: str) -> Latency:
        """Median and quartiles of one call."""
        timings_ms = 1e3 * self.seconds[name].ravel()
        first, median, third = (float(q) for q in np.quantile(timings_ms, (0.25, 0.5, 0.75)))
        return Latency(median, first, third, timings_ms.size, self.calls[name])

    def speed_up(self, slow: str, quick: str) -> SpeedUp:
        """Speed-up of `quick` over `slow`."""
        ratios = self.seconds[slow].sum(1) / self.seconds[quick].sum(1)
        low, high = median_interval(ratios)
        return SpeedUp(float(np.median(ratios)), low, high, ratios.size)


@dataclass(frozen=True)
class Stopwatch:
    """A clock, and how to wait for the device.

    Attributes:
        clock: seconds, never running backwards.
        synchronise: waits until what was started on the device is done.
        pause: waits so many seconds, for a busy machine to calm down.
        processor_clock: seconds for which this thread had a processor, if that matters.
    """

    clock: Callable[[], float] = time.perf_counter
    synchronise: Callable[[], None] = lambda: None
    pause: Callable[[float], None] = time.sleep
    processor_clock: Callable[[], float] | None = None

    def time(self, call: Call, calls: int) -> float:
        """Mean seconds of `calls` calls in a row."""
        self.synchronise()
        start = self.clock()
        for _ in range(calls):
            call()
        self.synchronise()
        return (self.clock() - start) / calls


@dataclass(frozen=True)
class EventStopwatch(Stopwatch):
    """Measures time on a CUDA stream: between two events, without synchronisation inside.

    Attributes:
        device: whose current stream runs the calls.
    """

    device: torch.device | str = "cuda"

    def time(self, call: Call, calls: int) -> float:
        """Mean seconds of `calls` calls in a row."""
        with torch.cuda.device(self.device):
            start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self.synchronise()
            start.record()
            for _ in range(calls):
                call()
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end)) / 1e3 / calls


def stopwatch_for(device: torch.device) -> Stopwatch:
    """The stopwatch of a device: events on CUDA, the clock of this process elsewhere."""
    if device.type == "cuda":
        return EventStopwatch(synchronise=lambda: torch.cuda.synchronize(device), device=device)
    is_fine = time.get_clock_info("thread_time").resolution <= _FINE_S
    return Stopwatch(processor_clock=time.thread_time if is_fine else None)


def sample_latency(
    calls: Mapping[str, Call],
    *,
    repeats: int = LEAST_REPEATS,
    limit_s: float = 30.0,
    stopwatch: Stopwatch | None = None,
) -> LatencySample:
    """Time several calls against each other, with one torch thread.

    Warms up until the times are steady; then times the calls in A B B A blocks. Where a round is
    noisy, waits a little and takes another, up to five, in which timings average over more and
    more calls; the calmest round is returned.

    Args:
        calls: name → a function without arguments.
        repeats: timings of each call, at least 30.
        limit_s: after so many seconds no further round is begun.
        stopwatch: how time is taken; by default as on the CPU, see :func:`stopwatch_for`.

    Raises:
        InputError: too few repeats, or nothing to time.
    """
    if repeats < LEAST_REPEATS or not calls:
        raise InputError(
            f"{repeats} repeats of {len(calls)} calls cannot be timed",
            allowed=f"{LEAST_REPEATS} repeats or more, of one call or more",
        )
    watch = stopwatch or stopwatch_for(torch.device("cpu"))
    begun = watch.clock()
    with _one_thread(), _no_garbage_collection():
        seconds = _warm_up(calls, watch)
        calmest = _round(calls, _counts(seconds, _TIMING_S), repeats, watch)
        for number, timing_s in enumerate(_LATER_TIMINGS_S, start=1):
            if calmest.status == "ok" or watch.clock() - begun > limit_s:
                break
            watch.pause(_FIRST_PAUSE_S * number)
            another = _round(calls, _counts(seconds, timing_s), repeats, watch)
            calmest = min(calmest, another, key=_unrest)
    return calmest


def _counts(seconds: Mapping[str, float], timing_s: float) -> dict[str, int]:
    """Number of calls per timing."""
    return {name: max(1, math.ceil(timing_s / taken)) for name, taken in seconds.items()}


def _unrest(sample: LatencySample) -> tuple[bool, float]:
    return sample.status == "noisy", sample.noise


def median_interval(values: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a median by order statistics; holds for any continuous distribution.

    The number of values below the true median is binomial with p = 1/2, so that the k-th smallest
    and the k-th largest value bracket it with at least the given confidence (the inverted sign
    test; Thompson 1936). Fewer than six values cannot give 95 %: they give their range.

    Args:
        values: independent draws.
        confidence: in (0, 1).
    """
    ordered = np.sort(values)
    count = ordered.size
    tail, rank = 0.0, 0
    while rank < count // 2:
        tail += math.comb(count, rank) / 2**count
        if 2 * tail > 1 - confidence:
            break
        rank += 1
    rank = max(rank, 1)
    return float(ordered[rank - 1]), float(ordered[count - rank])


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread inside the block; the number is restored afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _warm_up(calls: Mapping[str, Call], watch: Stopwatch) -> dict[str, float]:
    """Run the calls until two rounds in a row take equally long; seconds of each call."""

    def quick_look() -> dict[str, float]:
        return {
            name: float(np.median([watch.time(call, 1) for _ in range(_WARM_UP_CALLS)]))
            for name, call in calls.items()
        }

    seconds = quick_look()
    for _ in range(_WARM_UP_ROUNDS):
        before, seconds = seconds, quick_look()
        if all(abs(seconds[name] / before[name] - 1) < _STEADY_WITHIN for name in calls):
            break
    return seconds


def _round(
    calls: Mapping[str, Call], counts: Mapping[str, int], repeats: int, watch: Stopwatch
) -> LatencySample:
    blocks = math.ceil(repeats / 2)
    seconds = {name: np.empty((blocks, 2)) for name in calls}
    there = list(calls)
    back = there[::-1]
    at_processor = watch.processor_clock or (lambda: math.nan)
    begun, begun_at_processor = watch.clock(), at_processor()
    for block in range(blocks):
        for half, names in enumerate((there, back)):
            for name in names:
                seconds[name][block, half] = watch.time(calls[name], counts[name])
    share = (at_processor() - begun_at_processor) / (watch.clock() - begun)
    return LatencySample(seconds, dict(counts), None if math.isnan(share) else share)

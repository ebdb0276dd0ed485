"""Autotuner: picks the fastest implementation of a layer by timing the candidates.

The latency of a layer depends on its shape, on the library's kernels and on the processor, and no
formula predicts it. The candidates are timed in turn (interleaved), on one thread, for one input
and for a whole batch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

__all__ = ["fastest", "sizes", "timed"]

_LEAST_GAIN = 1.1
"""Speed-up from which another candidate replaces the first one."""
_ROUNDS = 7
_LIMIT_S = 1.0
"""Time limit for one layer at one batch size; two rounds are always measured."""


def timed(forms: Mapping[str, Callable[[Tensor], Tensor]], maps: Tensor) -> dict[str, list[float]]:
    """Time each candidate with one input and with the whole batch.

    Args:
        forms: name → candidate implementation.
        maps: input of the layer, a batch.

    Returns:
        Name → seconds per call for each of :func:`sizes`, the minimum of several calls.
    """
    seconds = [_best(forms, maps[:size]) for size in sizes(maps)]
    return {name: [best[name] for best in seconds] for name in forms}


def sizes(maps: Tensor) -> list[int]:
    """Batch sizes that are timed: one, and the whole batch."""
    return sorted({1, len(maps)})


def fastest(
    seconds: Mapping[str, list[float]], slack_s: float = 0.0, least_gain: float = _LEAST_GAIN
) -> str:
    """Name of the fastest candidate: the first, unless another is clearly faster.

    Another one must be faster by `least_gain` with a whole batch and not slower with one input.

    Args:
        seconds: what :func:`timed` returned.
        slack_s: seconds by which it may be slower with one input.
        least_gain: speed-up that it must reach with a whole batch, so that noise does not decide.
    """
    best, *others = seconds
    for name in others:
        gain = seconds[best][-1] / seconds[name][-1]
        if gain >= least_gain and seconds[name][0] <= seconds[best][0] + slack_s:
            best = name
    return best


def _best(forms: Mapping[str, Callable[[Tensor], Tensor]], maps: Tensor) -> dict[str, float]:
    """Minimum over several interleaved calls, so that a busy moment affects all candidates."""
    best = dict.fromkeys(forms, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for form in forms.values():
                form(maps)  # warm-up: some are built at their first call
            begun = time.perf_counter()
            for number in range(_ROUNDS):
                for name, form in forms.items():
                    best[name] = min(best[name], _seconds(form, maps))
                if number and time.perf_counter() - begun > _LIMIT_S:
                    break
    finally:
        torch.set_num_threads(threads)
    return best


def _seconds(form: Callable[[Tensor], Tensor], maps: Tensor) -> float:
    _settle(maps)
    start = time.perf_counter()
    form(maps)
    _settle(maps)
    return time.perf_counter() - start


def _settle(maps: Tensor) -> None:
    if maps.is_cuda:
        torch.cuda.synchronize(maps.device)

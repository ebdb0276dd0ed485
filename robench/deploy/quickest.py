"""Which of several forms of one layer is the quickest here: a cost model that is measured.

What a layer takes depends on its shape, on the library's kernels and on the processor, so that no
formula tells. The forms are timed in turn, on one thread, for one input and for a whole batch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

__all__ = ["quickest", "sizes", "timed"]

_LEAST_GAIN = 1.1
_ROUNDS = 7
_LIMIT_S = 1.0
"""Of timing one layer at one batch size; two rounds are always taken."""


def timed(forms: Mapping[str, Callable[[Tensor], Tensor]], maps: Tensor) -> dict[str, list[float]]:
    """Time each form with one input and with all of them.

    Args:
        forms: name → what computes the layer.
        maps: what the layer reads, a batch.

    Returns:
        Name → seconds of a call for each of :func:`sizes`, the best of several.
    """
    seconds = [_best(forms, maps[:size]) for size in sizes(maps)]
    return {name: [best[name] for best in seconds] for name in forms}


def sizes(maps: Tensor) -> list[int]:
    """The batch sizes that are timed: one, and the whole batch."""
    return sorted({1, len(maps)})


def quickest(
    seconds: Mapping[str, list[float]], slack_s: float = 0.0, least_gain: float = _LEAST_GAIN
) -> str:
    """The form to take: the first, unless another is clearly quicker with a batch, and not slower.

    Args:
        seconds: what :func:`timed` returned.
        slack_s: so much slower it may be with one input.
        least_gain: times quicker that it must be with a whole batch, so that noise does not decide.
    """
    best, *others = seconds
    for name in others:
        gain = seconds[best][-1] / seconds[name][-1]
        if gain >= least_gain and seconds[name][0] <= seconds[best][0] + slack_s:
            best = name
    return best


def _best(forms: Mapping[str, Callable[[Tensor], Tensor]], maps: Tensor) -> dict[str, float]:
    """The quickest of several calls of each, taken in turn so that a busy moment meets all."""
    best = dict.fromkeys(forms, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for form in forms.values():
                form(maps)  # some are made at their first call
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

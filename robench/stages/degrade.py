"""Show a trained network degraded images, kind by kind and level by level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from robench.data.base import to_float
from robench.degradations import DEGRADATIONS_REGISTRY
from robench.degradations.levels import PUBLISHED
from robench.errors import NotApplicableError
from robench.spec import Cell, Metric, json_number
from robench.stages.base import Context, Outcome
from robench.stages.declarations.kinds import ResolvedDegradeOptions
from robench.stages.graded import GradedAnswers, over_levels, parts_of
from robench.stages.network import trained_network

if TYPE_CHECKING:
    import torch

    from robench.data.base import Data, Split
    from robench.degradations.base import Degradation

__all__ = ["degrade", "shown_parts", "unfit_kinds"]

_KEPT_VALUES = 1 << 18
"""Degraded images are kept for the next network if those of one level have no more values: with
all kinds and levels they then take 128 MiB at most."""
_VISIBLE = 0.5 / 255
"""Half a grey value: pictures that differ by less everywhere are the same 8-bit picture."""


def degrade(cell: Cell, context: Context) -> Outcome:
    """Accuracy and answers at each level of each kind, on the same images for everyone.

    Raises:
        NotApplicableError: these images can bear none of the kinds.
    """
    options = cell.options_as(ResolvedDegradeOptions)
    test = context.data.test.first(options.samples)
    seed = cell.seed_for("evaluate")
    answers = GradedAnswers(trained_network(cell, context), context.data.outputs)
    metrics: list[Metric] = []
    left_out = _left_out(options, context.data)
    undegraded: dict[str, list[float | str]] = {}
    for kind, declared in options.kinds.items():
        if kind in left_out:
            continue
        accuracies = []
        for level in declared.levels:
            shown = shown_parts(context.data, kind, level, options.samples, seed, context.device)
            condition = {"kind": kind, "test_level": json_number(level)}
            changes: list[float] = []
            shown = _compared(shown, test, context.device, changes)
            found = tuple(answers.show(shown, test.labels, f"{kind} {level:g}", **condition))
            if max(changes) < _VISIBLE:
                undegraded.setdefault(kind, []).append(json_number(level))
            accuracies.append(found[0].value or 0.0)
            metrics += found
        metrics += over_levels(kind, declared.levels, accuracies, len(test))
    return Outcome(
        metrics=tuple(metrics),
        details={
            "conditions": answers.conditions,
            # How a level is to be read at this image size, which its number does not say.
            "conventions": {
                kind: _degradation(context.data, kind).convention()
                for kind in options.kinds
                if kind not in left_out
            },
            "left_out": left_out,
            # By comparing pictures: also what a kind's own declaration cannot know.
            "undegraded": undegraded,
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            **answers.arrays(),
        },
    )


def _compared(
    parts: Iterable[torch.Tensor], test: Split, device: torch.device, changes: list[float]
) -> Iterator[torch.Tensor]:
    """The degraded parts; `changes` collects the largest difference of each from the originals."""
    for shown, part in zip(parts, parts_of(test.images), strict=True):
        original = to_float(test.images[part].to(device))
        changes.append(float((shown - original).abs().amax()))
        yield shown


def shown_parts(
    data: Data, kind: str, level: float, samples: int | None, seed: int, device: torch.device
) -> Iterable[torch.Tensor]:
    """The degraded images in parts: few are kept for the next network, many made one by one."""
    count = len(data.test.first(samples))
    make = _kept if count * data.test.images[0].numel() <= _KEPT_VALUES else _parts
    return make(data, kind, level, samples, seed, device)


def _parts(
    data: Data, kind: str, level: float, samples: int | None, seed: int, device: torch.device
) -> Iterator[torch.Tensor]:
    test = data.test.first(samples)
    for part in parts_of(test.images):
        images = to_float(test.images[part].to(device))
        yield _degradation(data, kind)(images, level, seed=seed, index=test.index[part])


@lru_cache(maxsize=32)
def _degradation(data: Data, kind: str) -> Degradation:
    """With what it takes from a data set, such as a mean spectrum, learnt from training images."""
    degradation = DEGRADATIONS_REGISTRY.get(kind)
    return degradation if degradation.fit is None else degradation.fitted(data.train.images)


@lru_cache(maxsize=128)
def _kept(
    data: Data, kind: str, level: float, samples: int | None, seed: int, device: torch.device
) -> tuple[torch.Tensor, ...]:
    return tuple(_parts(data, kind, level, samples, seed, device))


def unfit_kinds(kinds: Iterable[str], data: Data) -> dict[str, str]:
    """The kinds that these images cannot bear, of those and of robench's own, and why not."""
    channels, height, width = data.input_shape
    shown = _told(data)
    found = {}
    for kind in dict.fromkeys((*PUBLISHED, *kinds)):
        degradation = DEGRADATIONS_REGISTRY.get(kind)
        if not degradation.takes(channels, height, width):
            found[kind] = f"it does not take {shown}"
        elif not degradation.degrades(channels):
            found[kind] = f"it leaves {shown} as they are"
    return found


def _left_out(options: ResolvedDegradeOptions, data: Data) -> dict[str, str]:
    found = unfit_kinds(options.kinds, data)
    if options.kinds and options.kinds.keys() <= found.keys():
        raise NotApplicableError(f"{_told(data)} can bear none of {', '.join(options.kinds)}")
    return found


def _told(data: Data) -> str:
    channels, height, width = data.input_shape
    return f"{'grey' if channels == 1 else 'colour'} images of {height} x {width} pixels"

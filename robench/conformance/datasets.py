"""The small data sets that methods are tried on, whose other splits notice who looks at them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from robench.data.assembly import assemble
from robench.data.base import Data, Split
from robench.data.splits import Splits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["DataName", "data", "guarded"]

DataName = Literal["images", "one class", "rows", "targets"]
"""Five classes of 8x8 images in two channels; the same in training batches of one class; rows of
nine features; the same with a number to predict."""

_TRAIN, _VALIDATION, _TEST = 160, 32, 64
_CLASSES = 5


@cache
def data(name: DataName, train: int = _TRAIN) -> Data:
    """A data set that is drawn anew, always the same.

    Args:
        name: which one.
        train: how many training inputs, at most 160.
    """
    count = _TRAIN + _VALIDATION + _TEST
    draw = np.random.default_rng(20)
    labels = np.arange(count) % _CLASSES
    is_image = name in ("images", "one class")
    shape = (2, 8, 8) if is_image else (9,)
    typical = draw.random((_CLASSES, *shape))
    inputs = np.clip(typical[labels] + 0.2 * draw.standard_normal((count, *shape)), 0, 1)
    classes = [f"class {number}" for number in range(_CLASSES)]
    if name == "one class":
        labels[:_TRAIN] = 0
    targets: NDArray[np.int64] | NDArray[np.float64] = labels
    if name == "targets":
        targets, classes = inputs @ np.linspace(-1, 1, 9), []
    return assemble(
        f"{name} of the conformance kit",
        classes=classes,
        inputs=(inputs * 255).astype(np.uint8) if is_image else inputs.astype(np.float32),
        labels=targets,
        splits=Splits(
            train=np.arange(train),
            validation=np.arange(_TRAIN, _TRAIN + _VALIDATION),
            test=np.arange(_TRAIN + _VALIDATION, count),
        ),
    )


class _GuardedSplit(Split):
    """A split that tells whenever its tensors are asked for."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("images", "labels", "index"):
            vars(self).get("asked", lambda: None)()
        return super().__getattribute__(name)


def guarded(data: Data, asked: Callable[[], None]) -> Data:
    """The data with validation and test splits that call `asked` before they give a tensor."""

    def guard(split: Split) -> Split:
        made = _GuardedSplit(split.images, split.labels, split.index)
        vars(made)["asked"] = asked
        return made

    return replace(data, validation=guard(data.validation), test=guard(data.test))

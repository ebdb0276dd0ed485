"""From arrays and index lists to `Data`: the splits cut out, hashed and measured."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import Field

from robench.data.base import Data, Split
from robench.errors import DataError, ParameterError
from robench.spec.base import Frozen
from robench.spec.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from robench.data.splits import Splits

__all__ = ["TrainingSubset", "assemble"]

_CHUNK = 1024
"""Inputs that are converted at a time, so that statistics need little memory."""


class TrainingSubset(Frozen):
    """Parameters of a data set whose training split can be cut short."""

    subset: Annotated[int, Field(ge=1)] | None = None
    """Train on so many inputs only, a fair sample; validation and test stay as they are."""


def assemble(
    name: str,
    *,
    classes: Sequence[str],
    inputs: NDArray[np.uint8] | NDArray[np.float32],
    labels: NDArray[np.int64],
    splits: Splits,
    subset: int | None = None,
) -> Data:
    """Cut a whole data set into its splits.

    Args:
        name: of the data set.
        classes: names of the classes.
        inputs: uint8 [N, C, H, W] of images, or float32 [N, F] in [0, 1] of rows of features.
        labels: int64 [N].
        splits: positions of each split in `inputs`.
        subset: how many inputs of the training split are kept; `None` means all.

    Raises:
        DataError: fewer than two classes, values outside [0, 1], or an empty split.
        ParameterError: a subset larger than the training split, or without some class.
        InputError: arrays of other shapes or types.
    """
    if len(classes) < 2:
        raise DataError(
            f"{name} has {len(classes)} class{'es' * (len(classes) != 1)}: nothing to tell apart",
            allowed="2 classes or more",
        )
    kept = _cut(name, splits.train, labels, subset)
    train, validation, test = (
        Split(
            torch.from_numpy(inputs[index]),
            torch.from_numpy(labels[index]),
            torch.from_numpy(index),
        )
        for index in (kept, splits.validation, splits.test)
    )
    for word, split in (("training", train), ("validation", validation), ("test", test)):
        _check_split(name, word, split)
    mean, std = _statistics(train.images)
    return Data(
        name=name,
        kind="image" if inputs.ndim == 4 else "tabular",
        classes=tuple(classes),
        train=train,
        validation=validation,
        test=test,
        sha256=_content_hash(classes, (train, validation, test)),
        mean=mean,
        std=std,
    )


def _cut(
    name: str, train: NDArray[np.int64], labels: NDArray[np.int64], subset: int | None
) -> NDArray[np.int64]:
    if subset is None:
        return train
    if subset > len(train):
        raise ParameterError(
            f"{name}: subset = {subset} is more than there are training inputs",
            allowed=f"1 to {len(train)}",
        )
    kept = train[:subset]
    there, left = len(np.unique(labels[train])), len(np.unique(labels[kept]))
    if left < there:
        raise ParameterError(
            f"{name}: subset = {subset} leaves only {left} of {there} classes to train on",
            hint=f"take at least {there} inputs, better some hundreds",
        )
    return kept


def _check_split(name: str, word: str, split: Split) -> None:
    if not len(split):
        raise DataError(
            f"{name} has too few inputs: the {word} split is empty",
            hint="ten inputs a class are the least that makes sense",
        )
    if split.images.dtype == torch.float32 and not (
        split.images.min() >= 0 and split.images.max() <= 1
    ):
        raise DataError(
            f"{name}: features of the {word} split are not in [0, 1], or not numbers",
            hint="scale them by the training split's minimum and maximum",
        )


def _statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel or feature, in [0, 1]."""
    axes = (0, *range(2, images.dim()))
    sums = torch.zeros(2, images.shape[1], dtype=torch.float64)
    for start in range(0, len(images), _CHUNK):
        # Whole numbers up to 255 squared add up exactly in float64, on any machine.
        values = images[start : start + _CHUNK].double()
        sums += torch.stack([values.sum(axes), values.square().sum(axes)])
    scale = 255 if images.dtype == torch.uint8 else 1
    mean, mean_square = sums / (images.numel() // images.shape[1])
    std = (mean_square - mean.square()).clamp(min=0).sqrt() / scale
    std = torch.where(std > 1e-6, std, 1.0)  # a constant is left as it is
    return tuple((mean / scale).tolist()), tuple(std.tolist())


def _content_hash(classes: Sequence[str], splits: Sequence[Split]) -> str:
    digest = hashlib.sha256(canonical_json(list(classes)).encode())
    for split in splits:
        for tensor in (split.images, split.labels, split.index):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()

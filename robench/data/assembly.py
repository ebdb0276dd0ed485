"""From arrays and index lists to `Data`: the splits cut out, hashed and measured."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeGuard

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

__all__ = ["TrainingSubset", "assemble", "scaled_to_unit"]

Labels: TypeAlias = "NDArray[np.int64] | NDArray[np.float64]"
"""Classes, or the targets of a regression."""

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
    labels: Labels,
    splits: Splits,
    subset: int | None = None,
    features: Sequence[str] = (),
) -> Data:
    """Cut a whole data set into its splits.

    Args:
        name: of the data set.
        classes: names of the classes; none at all for a regression.
        inputs: uint8 [N, C, H, W] of images, or float32 [N, F] in [0, 1] of rows of features.
        labels: int64 [N] positions in `classes`; or float64 [N] targets of a regression, in units
            of their own, which are standardised by the training split.
        splits: positions of each split in `inputs`.
        subset: how many inputs of the training split are kept; `None` means all.
        features: names of the features of tabular data.

    Raises:
        DataError: a single class, values outside [0, 1], a target that is constant or not a
            number, or an empty split.
        ParameterError: a subset larger than the training split, or without some class.
        InputError: arrays of other shapes or types.
    """
    if not _are_targets(labels) and len(classes) < 2:
        raise DataError(
            f"{name} has {len(classes)} class{'es' * (len(classes) != 1)}: nothing to tell apart",
            allowed="2 classes or more, or a target of real numbers",
        )
    kept = _cut(name, splits.train, labels, subset)
    targets, target_mean, target_std = _standardised(name, labels, by=kept)
    train, validation, test = (
        Split(
            torch.from_numpy(inputs[index]),
            torch.from_numpy(targets[index]),
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
        target_mean=target_mean,
        target_std=target_std,
        features=tuple(features),
    )


def scaled_to_unit(rows: NDArray[np.float64], *, by: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features in [0, 1], by the minimum and maximum over the rows `by`; others are clipped.

    Args:
        rows: [N, F] in any units.
        by: positions of the training rows.
    """
    low, high = rows[by].min(axis=0), rows[by].max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    scaled: NDArray[np.float32] = np.clip((rows - low) / span, 0, 1).astype(np.float32)
    return scaled


def _are_targets(labels: Labels) -> TypeGuard[NDArray[np.float64]]:
    """Whether these are the targets of a regression."""
    return np.issubdtype(labels.dtype, np.floating)


def _standardised(
    name: str, labels: Labels, *, by: NDArray[np.int64]
) -> tuple[NDArray[np.int64] | NDArray[np.float32], float, float]:
    """Targets in units of their standard deviation over the rows `by`; classes as they are."""
    if not _are_targets(labels):
        return labels.astype(np.int64, copy=False), 0.0, 1.0
    if not np.isfinite(labels).all():
        raise DataError(f"{name}: a target is not a number", hint="leave out the rows without one")
    mean, std = float(labels[by].mean()), float(labels[by].std())
    if not std > 0:
        raise DataError(f"{name}: all training targets are {mean:g}: nothing to predict")
    return ((labels - mean) / std).astype(np.float32), mean, std


def _cut(
    name: str,
    train: NDArray[np.int64],
    labels: Labels,
    subset: int | None,
) -> NDArray[np.int64]:
    if subset is None:
        return train
    if subset > len(train):
        raise ParameterError(
            f"{name}: subset = {subset} is more than there are training inputs",
            allowed=f"1 to {len(train)}",
        )
    kept = train[:subset]
    if _are_targets(labels):
        return kept
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

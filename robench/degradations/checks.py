"""Checks of the arguments of degradations, with error messages that say what to do."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from robench.errors import InputError

__all__ = ["as_number", "check_images", "check_index", "check_seed", "check_shape"]

_FLOATS = (torch.float32, torch.float64)


def check_images(images: Tensor, *, channels: Sequence[int], smallest: int, where: str) -> None:
    """Refuse what is not a batch of images in [0, 1].

    Args:
        images: what was given.
        channels: the channel counts that are taken.
        smallest: the least height and width, in pixels.
        where: what refuses, for the message.

    Raises:
        InputError: not a tensor, another type or shape, or a value outside [0, 1].
    """
    if not isinstance(images, Tensor):
        raise InputError(
            f"images are a {type(images).__name__}, not a tensor",
            where=where,
            hint="torch.as_tensor(images)",
        )
    if images.dtype not in _FLOATS:
        raise InputError(
            f"images have type {images.dtype}",
            where=where,
            allowed="torch.float32 or torch.float64, with values in [0, 1]",
            hint="robench.data.base.to_float(images) turns uint8 into that",
        )
    check_shape(images, channels=channels, smallest=smallest, where=where)
    _check_values(images, where=where)


def check_shape(images: Tensor, *, channels: Sequence[int], smallest: int, where: str) -> None:
    """Refuse what has not the shape of a batch of images; arguments as for `check_images`.

    Raises:
        InputError: another shape.
    """
    shape = list(images.shape)
    if images.ndim != 4 or shape[0] == 0:
        raise InputError(
            f"images have shape {shape}",
            where=where,
            allowed="[images, channels, height, width], with at least one image",
            hint="images.unsqueeze(0) makes a batch of one image" if images.ndim == 3 else None,
        )
    if shape[1] not in channels:
        raise InputError(
            f"images have {shape[1]} channels (shape {shape})",
            where=where,
            allowed=" or ".join(f"{count}" for count in channels),
            hint="one channel is grey, three are red, green and blue; drop any other",
        )
    if min(shape[2:]) < smallest:
        raise InputError(
            f"images are {shape[2]} x {shape[3]} pixels",
            where=where,
            allowed=f"at least {smallest} x {smallest} pixels",
            hint="enlarge the images, or leave this degradation out for them",
        )


def _check_values(images: Tensor, *, where: str) -> None:
    # Written so that NaN, which compares false with everything, is refused too.
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (low >= 0.0 and high <= 1.0):
        raise InputError(
            "images hold NaN" if low != low else f"images hold values from {low:.9g} to {high:.9g}",
            where=where,
            allowed="values in [0, 1]",
            hint="degrade before normalising; images.clamp(0, 1) mends rounding",
        )


def check_index(index: Tensor | Sequence[int] | None, images: Tensor, *, where: str) -> Tensor:
    """The index of each image as int64[N], on the images' device; by default 0 … N-1.

    Raises:
        InputError: not one whole number >= 0 for each image.
    """
    count = len(images)
    if index is None:
        return torch.arange(count, device=images.device)
    given = torch.as_tensor(index, device=images.device)
    whole = not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
    if not whole or given.shape != (count,) or bool((given < 0).any()):
        raise InputError(
            f"index has shape {list(given.shape)}, type {given.dtype}"
            + (f" and least value {given.min()}" if whole and given.numel() else ""),
            where=where,
            allowed=f"{count} whole numbers >= 0, one for each image",
            hint="give each image its number in the data set, or leave index out",
        )
    return given.to(torch.int64)


def check_seed(seed: int, *, where: str) -> int:
    """The seed as a Python integer.

    Raises:
        InputError: not a whole number.
    """
    try:
        return operator.index(seed)
    except TypeError:
        raise InputError(
            f"the seed is {seed!r}", where=where, allowed="a whole number", hint="seed=0"
        ) from None


def as_number(value: object) -> float:
    """A real number of any type as a float: Python's, NumPy's, and arrays and tensors of none.

    A number of less than double precision is the shortest decimal number that it stands for, so
    that 0.2 is one level, and draws one noise, in every type.

    Returns:
        NaN for what is no real number: text, truth values, complex numbers, arrays of several.
    """
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all floats
        return math.inf if value == abs(value) else -math.inf

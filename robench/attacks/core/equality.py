"""Equality of what holds tensors: by value, which `==` of two tensors does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

__all__ = ["EqualByValue"]


class EqualByValue:
    """A dataclass (with ``eq=False``) that equals another one of its class with the same values.

    Tensors are equal where shape, type and every value are; the device does not matter, and NaN
    equals NaN. Fields with ``compare=False``, such as wall-clock times, are left out.
    """

    __hash__: ClassVar[Any] = None

    def __eq__(self, other: object) -> bool:
        return _same_fields(self, other) if type(other) is type(self) else NotImplemented


def _same_fields(one: Any, other: Any) -> bool:
    compared = (field.name for field in fields(one) if field.compare)
    return all(_same(getattr(one, name), getattr(other, name)) for name in compared)


def _same(one: object, other: object) -> bool:
    if is_dataclass(one) and type(one) is type(other):
        return _same_fields(one, other)
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and _same_tensor(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float) and one != one:
        return other != other
    return bool(one == other)


def _same_tensor(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(torch.equal(one.cpu().nan_to_num(), other.cpu().nan_to_num())) and bool(
        torch.equal(one.isnan().cpu(), other.isnan().cpu())
    )

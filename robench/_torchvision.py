"""Imports torchvision where its compiled operators do not fit the torch that is installed.

The wheel of torchvision on PyPI is built for CUDA. Beside a CPU-only torch its extension cannot be
loaded, and ``import torchvision`` then fails with "operator torchvision::nms does not exist",
because it describes operators that nobody declared. robench needs torchvision's data sets, never
its operators, so the schemas alone are declared in their place. Where the extension loads, nothing
is done. Everything in robench that needs torchvision goes through here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_torchvision"]

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("torchvision::nms", "torchvision::qnms")


def import_torchvision() -> ModuleType:
    """The torchvision package, with its data sets and transforms ready for use.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: it fails for another reason than its missing operators.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if not any(operator in str(error) for operator in _OPERATORS):
            raise
    # Only now is it known that the extension did not load: declaring the operators any earlier
    # would clash with the extension's own declarations where it does.
    for operator in _OPERATORS:
        torch.library.define(operator, _SCHEMA)
    return importlib.import_module("torchvision")

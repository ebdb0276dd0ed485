"""Which layer of a network cannot take an image, and what it would take."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["mismatch_of"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def mismatch_of(model: nn.Module, images: Tensor) -> tuple[str | None, str | None]:
    """Where it fails, and what is allowed there; `None` where no layer is to blame.

    Args:
        model: raises for these images.
        images: of the type that its parameters have, [n, ...].
    """
    names = {module: name for name, module in model.named_modules()}
    found: list[tuple[str, str]] = []

    def compare(module: nn.Module, given: tuple[Any, ...]) -> None:
        fault = _fault(module, given[0]) if given and isinstance(given[0], Tensor) else None
        if fault is not None:
            found.append((f"{names[module]} ({type(module).__name__})", fault))

    hooks = [module.register_forward_pre_hook(compare) for module in names]
    try:
        with torch.no_grad(), suppress(Exception):  # that it raises is known
            model(images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else (None, None)


def _fault(module: nn.Module, given: Tensor) -> str | None:
    """What the layer takes and was given, if these differ."""
    own = next(module.parameters(recurse=False), given)
    if own.device != given.device:
        return f"tensors on {own.device}, not on {given.device}"
    if isinstance(module, nn.Linear):
        last = given.shape[-1] if given.dim() else 0
        return _differ("features", module.in_features, last)
    channels = given.shape[1] if given.dim() > 1 else 0
    if isinstance(module, _CONVOLUTIONS):
        return _differ("channels", module.in_channels, channels)
    if isinstance(module, _NORMS):
        return _differ("channels", module.num_features, channels)
    return None


def _differ(what: str, taken: int, given: int) -> str | None:
    return None if taken == given else f"{taken} {what}, not {given}"

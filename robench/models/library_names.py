"""Which models other libraries have, read from their source, without importing them or torch."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

__all__ = ["timm", "torchvision"]

# Both libraries mark the function that makes a model: ``@register_model``, ``@register_model()``.
_REGISTERED = re.compile(r"^@register_model\b.*?^def (\w+)\(", re.MULTILINE | re.DOTALL)


def torchvision() -> frozenset[str]:
    """Names of torchvision's classification models."""
    return _registered("torchvision")


def timm() -> frozenset[str]:
    """Names of timm's models; none where timm is not installed."""
    return _registered("timm")


@cache
def _registered(package: str) -> frozenset[str]:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    return frozenset(
        name
        for folder in folders or ()
        for file in Path(folder, "models").glob("*.py")
        for name in _REGISTERED.findall(file.read_text(encoding="utf-8"))
    )

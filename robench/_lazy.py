"""Names of a package that are imported when they are first used (PEP 562).

It keeps what is heavy, such as torch and pandas, out of ``import robench`` and ``robench list``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that imports each name from its home on first use.

    Args:
        package: ``__name__`` of the package that offers the names.
        homes: name → the module that defines it.
    """

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattribute

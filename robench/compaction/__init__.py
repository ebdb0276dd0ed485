"""Zeros in, a physically smaller network out, proven to compute the same function."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.compaction.compactor import compact
    from robench.compaction.report import CompactionReport, LayerReport, report_of
    from robench.compaction.storage import load, save

__all__ = ["CompactionReport", "LayerReport", "compact", "load", "report_of", "save"]

_HOMES = {
    "CompactionReport": "report",
    "LayerReport": "report",
    "compact": "compactor",
    "load": "storage",
    "report_of": "report",
    "save": "storage",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Exact structural pruning: removes zeros physically, and proves that the function is unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.compaction.compactor import compact
    from robench.compaction.report import CompactionReport, LayerReport, report_of
    from robench.compaction.storage import load, save

__all__ = ["CompactionReport", "LayerReport", "compact", "load", "report_of", "save"]

__getattr__ = lazily(
    __name__,
    {
        "CompactionReport": "robench.compaction.report",
        "LayerReport": "robench.compaction.report",
        "compact": "robench.compaction.compactor",
        "load": "robench.compaction.storage",
        "report_of": "robench.compaction.report",
        "save": "robench.compaction.storage",
    },
)

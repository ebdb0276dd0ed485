"""From records to figures: the long table, means over seeds, transfer, comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.analysis.consistency import error_consistency
    from robench.analysis.frame import table
    from robench.analysis.seeds import over_seeds

__all__ = ["error_consistency", "over_seeds", "table"]

__getattr__ = lazily(
    __name__,
    {
        "error_consistency": "robench.analysis.consistency",
        "over_seeds": "robench.analysis.seeds",
        "table": "robench.analysis.frame",
    },
)

"""Numbers from records: the long table, intervals, and what several seeds say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.stats.consistency import error_consistency
    from robench.stats.frame import table
    from robench.stats.intervals import (
        Interval,
        paired_difference,
        student_t,
    )
    from robench.stats.seeds import over_seeds

__all__ = [
    "Interval",
    "error_consistency",
    "over_seeds",
    "paired_difference",
    "student_t",
    "table",
]

__getattr__ = lazily(
    __name__,
    {
        "Interval": "robench.stats.intervals",
        "error_consistency": "robench.stats.consistency",
        "over_seeds": "robench.stats.seeds",
        "paired_difference": "robench.stats.intervals",
        "student_t": "robench.stats.intervals",
        "table": "robench.stats.frame",
    },
)

"""Numbers from records: the long table, intervals, and what several seeds say together."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.stats.frame import table
    from robench.stats.intervals import (
        Interval,
        bootstrap_median,
        paired_difference,
        student_t,
        wilson,
    )
    from robench.stats.seeds import over_seeds

__all__ = [
    "Interval",
    "bootstrap_median",
    "over_seeds",
    "paired_difference",
    "student_t",
    "table",
    "wilson",
]

_HOMES = {
    "Interval": "intervals",
    "bootstrap_median": "intervals",
    "over_seeds": "seeds",
    "paired_difference": "intervals",
    "student_t": "intervals",
    "table": "frame",
    "wilson": "intervals",
}


def __getattr__(name: str) -> Any:
    # pandas and scipy are imported when they are first needed (PEP 562).
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

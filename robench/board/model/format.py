"""Numbers as people read them: percent on the board, fractions everywhere else."""

from __future__ import annotations

import re
from collections.abc import Callable

from robench.board.model.estimates import Estimate

__all__ = [
    "NO_VALUE",
    "distance",
    "interval",
    "level",
    "number",
    "percent",
    "points",
    "ratio",
    "slug",
]

NO_VALUE = "–"


def percent(share: float, digits: int = 1) -> str:
    """A fraction in percent, without the sign: ``97.6``."""
    return f"{100 * share:.{digits}f}"


def level(share: float) -> str:
    """A sparsity in percent, without the sign and no longer than it must be: ``90``, ``99.95``."""
    return f"{100 * share:.4g}"


def points(share: float) -> str:
    """A difference of fractions in percentage points, with its sign: ``−0.4``."""
    # A difference that rounds to nothing has no sign.
    text = f"{100 * share:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def distance(value: float) -> str:
    """An l2 distance: ``1.23``, ``0.045``."""
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.3f}"


def ratio(value: float) -> str:
    """How many times: ``2.31``, ``54``."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def number(value: float) -> str:
    """A number of any size in three digits: ``0.0123``, ``28.4``, ``1.21e+04``."""
    return f"{value:.3g}"


def interval(estimate: Estimate, write: Callable[[float], str]) -> str:
    """The bounds of an estimate, ``[97.1, 98.0]``; empty where there are none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{write(estimate.low)}, {write(estimate.high)}]"


def slug(text: str) -> str:
    """A file name for any text: lower-case letters, digits and hyphens, never empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:60] or "unnamed"

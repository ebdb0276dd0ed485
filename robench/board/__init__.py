"""Records into a leaderboard: tables, plots, and one HTML page that works offline."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.board.build import build_board
    from robench.board.text import summary, summary_text

__all__ = ["build_board", "summary", "summary_text"]

_HOMES = {"build_board": "build", "summary": "text", "summary_text": "text"}


def __getattr__(name: str) -> Any:
    # pandas and Altair are imported when they are first needed (PEP 562).
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

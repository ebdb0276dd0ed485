"""Records into a leaderboard: tables, plots, and one HTML page that works offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.board.build import build_board
    from robench.board.text import summary, summary_text

__all__ = ["build_board", "summary", "summary_text"]

__getattr__ = lazily(
    __name__,
    {
        "build_board": "robench.board.build",
        "summary": "robench.board.text",
        "summary_text": "robench.board.text",
    },
)

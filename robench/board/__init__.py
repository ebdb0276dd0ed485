"""Records into a leaderboard: tables, plots, and one HTML page that works offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.board.render.build import build_board
    from robench.board.render.text import summary, summary_text

__all__ = ["build_board", "summary", "summary_text"]

__getattr__ = lazily(
    __name__,
    {
        "build_board": "robench.board.render.build",
        "summary": "robench.board.render.text",
        "summary_text": "robench.board.render.text",
    },
)

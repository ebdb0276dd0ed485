"""What the verbs write: text that may hold names and reasons from strangers."""

from __future__ import annotations

import logging
import sys

from robench.escape import for_terminal

__all__ = ["say", "show_warnings", "tell"]


def say(text: str) -> None:
    """Write lines to standard output, with nothing in them that a terminal would obey."""
    sys.stdout.write(for_terminal(text, lines=True))


def tell(text: str) -> None:
    """The same to standard error: messages, not results."""
    sys.stderr.write(for_terminal(text, lines=True))


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell(f"robench: {self.format(record)}\n")


def show_warnings() -> None:
    """Warnings of robench that nothing else handles go to standard error, harmless."""
    logging.lastResort = _Teller(logging.WARNING)

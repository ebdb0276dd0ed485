"""Whose fault an exception is: what a plug-in raises becomes one message with its file and line."""

from __future__ import annotations

import inspect
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from robench.errors import PluginError, RobenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["blamed_on"]


@contextmanager
def blamed_on(kind: str, name: str, plugin: object) -> Iterator[None]:
    """Turn whatever a plug-in raises in this block into a `PluginError` that names it.

    For plug-ins that run before any cell does, when nothing catches what they raise. Errors of
    robench itself pass.

    Args:
        kind: of the plug-in, ``"data set"``.
        name: of the plug-in.
        plugin: its class or function, whose file the message names.

    Raises:
        PluginError: the block raised, or asked the process to end.
    """
    try:
        yield
    except RobenchError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        said = str(error)
        raise PluginError(
            f"the {kind} {name!r} raised {type(error).__name__}{': ' if said else ''}{said}",
            where=_line_in(plugin, error),
        ) from error


def _line_in(plugin: object, error: BaseException) -> str | None:
    """The last line of the plug-in's own file that the exception came through."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(plugin) if callable(plugin) else type(plugin))
    except TypeError:
        return None
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]
    return f"{file}:{lines[-1]}" if lines else file

"""Options that take one of a few words, checked so that a misspelling gets a helpful answer."""

from __future__ import annotations

from typing import cast, get_args

from robench.engine.run import Engine
from robench.errors import UnknownNameError

__all__ = ["engine_named"]


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in get_args(Engine):
        raise UnknownNameError("engine", name, get_args(Engine))
    return cast("Engine", name)

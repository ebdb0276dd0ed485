"""What a rule is: a function of a plug-in under test, with a meaning and a remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["BrokenError", "Rule", "SkippedError", "rule"]

Check: TypeAlias = "Callable[[Any], str]"
"""Of a subject: a `Subject` for the rules of methods, a `PluginSubject` for the others."""


class BrokenError(Exception):
    """The rule is broken.

    Args:
        why: what was seen, in one line.
        where: file and line at fault, where they are known.
    """

    def __init__(self, why: str, where: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.where = where


class SkippedError(Exception):
    """The rule has nothing to say about this plug-in; the message says why."""


@dataclass(frozen=True)
class Rule:
    """One rule of the kit.

    Attributes:
        name: lower-case words joined by hyphens.
        meaning: what it asks for, in one sentence.
        remedy: what to do where it is broken.
        check: returns one line on what was seen, or raises `BrokenError` or `SkippedError`.
    """

    name: str
    meaning: str
    remedy: str
    check: Check


def rule(remedy: str) -> Callable[[Check], Rule]:
    """Make a rule of a function, by its name and its docstring."""

    def made(check: Check) -> Rule:
        name = check.__name__.replace("_", "-")
        return Rule(name, inspect.getdoc(check) or "", remedy, check)

    return made

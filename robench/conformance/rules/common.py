"""Rules that apply to every kind of plug-in."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING

from robench.conformance.aspects import Process, change
from robench.conformance.importing import import_anew
from robench.conformance.rule import BrokenError, rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from robench.conformance.subject import PluginSubject

__all__ = ["RULES", "documented", "globals_kept", "imports_cleanly", "tensors_kept"]

_LONGEST_IMPORT_S = 5.0


@rule("move code with side effects from the top level of the module to where the plug-in runs")
def imports_cleanly(subject: PluginSubject) -> str:
    """Importing the file is quick and changes no global setting or random generator."""
    report = import_anew(str(subject.file), subject.value.__module__)
    if report.error is not None:
        raise BrokenError(report.error, report.where)
    if report.changes:
        raise BrokenError(f"importing it changes things: {report.changes[0]}", report.where)
    if report.seconds > _LONGEST_IMPORT_S:
        raise BrokenError(f"importing it takes {report.seconds:.1f} s beyond robench and torch")
    return f"in {report.seconds:.2f} s, in a process of its own"


@rule("write a docstring: its first line is what `robench list` shows")
def documented(subject: PluginSubject) -> str:
    """The plug-in has a docstring whose first line describes it."""
    line = (inspect.getdoc(subject.value) or "").strip().partition("\n")[0]
    if not line:
        raise BrokenError("there is no docstring", subject.line_of())
    return line if len(line) <= 60 else f"{line[:57]}..."


@contextmanager
def globals_kept(subject: PluginSubject, part: str) -> Iterator[None]:
    """Break the rule if generators, default type, threads or grad mode change in this block."""
    process = Process()
    try:
        yield
        after = Process.read()
    finally:
        process.restore()
    for name, before in process.before.items():
        if after[name] != before:
            raise BrokenError(
                f"after {part}(), {change(name, process.before, after)}", subject.line_of(part)
            )


@contextmanager
def tensors_kept(
    subject: PluginSubject, part: str, tensors: Mapping[str, Tensor]
) -> Iterator[None]:
    """Break the rule if one of these tensors changes in this block."""
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    yield
    for name, tensor in tensors.items():
        if not bool((tensor.detach() == before[name]).all()):
            raise BrokenError(f"{part}() writes into {name}", subject.line_of(part))


RULES = (imports_cleanly, documented)
"""Rules of every kind of plug-in; views of the board have no others."""

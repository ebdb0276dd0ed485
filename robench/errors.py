"""What can go wrong, as a tree of classes.

    RobenchError
    ├── UsageError              the user can mend it: the command line exits with status 2
    │   ├── SuiteError          a suite file: names file, line, key, value and what is allowed
    │   ├── UnknownNameError    no plug-in of that kind has this name: shows the nearest ones
    │   ├── ParameterError      a plug-in was given a parameter that it does not take
    │   ├── PluginError         a plug-in file or package that cannot be used
    │   ├── DataError           a data set that is missing, corrupt or of the wrong shape
    │   ├── InputError          a tensor or argument given to the Python API (also a ValueError)
    │   └── StoreError          a results folder that cannot be read or written
    │       ├── CheckpointError     weights that are missing, damaged or of another cell
    │       └── NewerRecordError    a record that a newer version of robench wrote
    ├── NotApplicableError      this method or attack has nothing to do here: a row, not a failure
    ├── TrainingError           training diverged, or a method broke its contract
    ├── CompactionError         a network that cannot be compacted without changing its function
    ├── AttackError             an attack that raised or returned nonsense
    ├── MeasurementError        a measurement too noisy to be published
    └── WorkersError            worker processes that do not start: nothing was run

Every message says what happened (with the offending value), then where, what is allowed, and what
to do next, each on its own line, so that nobody needs a traceback to mend a mistake of their own.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AttackError",
    "CheckpointError",
    "CompactionError",
    "DataError",
    "InputError",
    "MeasurementError",
    "NewerRecordError",
    "NotApplicableError",
    "ParameterError",
    "PluginError",
    "RobenchError",
    "StoreError",
    "SuiteError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "WorkersError",
    "message_of",
    "nearest_names",
    "text_of",
]


class RobenchError(Exception):
    """Base of everything that robench raises on purpose.

    Args:
        what: one sentence that names the offending value.
        where: file and line, or the name of the layer, cell or plug-in.
        allowed: the values that would have been taken.
        hint: what to do next.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        allowed: str | Iterable[object] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.allowed = _listed(allowed)
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  where:   {self.where}"] if self.where else []
        lines += [f"  allowed: {self.allowed}"] if self.allowed else []
        lines += [f"  next:    {self.hint}"] if self.hint else []
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments must survive the way back from a worker process.
        return (_rebuild, (type(self), self.what, self.where, self.allowed, self.hint))


def _rebuild(
    kind: type[RobenchError],
    what: str,
    where: str | None,
    allowed: str | None,
    hint: str | None,
) -> RobenchError:
    error = kind.__new__(kind)
    RobenchError.__init__(error, what, where=where, allowed=allowed, hint=hint)
    return error


def _listed(allowed: str | Iterable[object] | None) -> str | None:
    if allowed is None or isinstance(allowed, str):
        return allowed
    return ", ".join(str(value) for value in allowed)


class UsageError(RobenchError):
    """A mistake that the user can mend; the command line exits with status 2."""


class SuiteError(UsageError):
    """A suite file that does not say what it must, or says it twice."""


class UnknownNameError(UsageError):
    """A name that no plug-in of the kind has.

    Args:
        kind: `method`, `model`, `data set`, `attack`, `degradation`, `suite`.
        name: what was asked for.
        known: every name that exists; the nearest ones are shown first.
        where: file and line of the mistake, where there is one.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, where: str | None = None
    ) -> None:
        known = sorted(known)
        near = nearest_names(name, known)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else None
        super().__init__(f"there is no {kind} {name!r}", where=where, allowed=known, hint=hint)


class ParameterError(UsageError):
    """A plug-in was given a parameter that it does not take, or a value out of its range."""


class PluginError(UsageError):
    """A plug-in file or package that cannot be imported, or that breaks its interface."""


class DataError(UsageError):
    """A data set that is missing, corrupt or of the wrong shape."""


class InputError(UsageError, ValueError):
    """A tensor or an argument of the Python API that is out of its range or of the wrong shape."""


class StoreError(UsageError):
    """A results folder that cannot be read or written, or a record in it that is damaged."""


class CheckpointError(StoreError):
    """A checkpoint that is missing, damaged, or not the one that its record speaks of."""


class NewerRecordError(StoreError):
    """A record that a newer version of robench wrote: it is left alone."""


class NotApplicableError(RobenchError):
    """The method or attack has nothing to do on this network or data: a row, not a failure."""


class LevelNotReachedError(NotApplicableError):
    """The method cannot bring this network to this level: a row that says so.

    Args:
        what: why not, and how far it came.
        achieved: the level that the network has.
        hint: what to do next.
    """

    def __init__(self, what: str, *, achieved: float, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.achieved = achieved

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_not_reached, (self.what, self.achieved, self.hint))


def _rebuild_not_reached(what: str, achieved: float, hint: str | None) -> LevelNotReachedError:
    return LevelNotReachedError(what, achieved=achieved, hint=hint)


class TrainingError(RobenchError):
    """Training diverged, or a method broke its contract with the loop."""


class CompactionError(RobenchError):
    """A network that cannot be compacted without changing the function that it computes."""


class AttackError(RobenchError):
    """An attack that raised, or that returned something other than images."""


class MeasurementError(RobenchError):
    """A measurement too noisy, or too strange, to be published."""


class WorkersError(RobenchError):
    """Worker processes that do not start, so that no cell can be run."""


def text_of(error: BaseException) -> str:
    """Class and message of an error of anybody's, in one text; see `message_of`.

    >>> text_of(ValueError("no"))
    'ValueError: no'
    """
    message = message_of(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def message_of(error: BaseException, limit: int = 2000) -> str:
    """The message of an error of anybody's, whatever its ``__str__`` does.

    Args:
        error: what was raised.
        limit: characters; what is longer is cut.
    """
    try:
        message = str(error)
    except BaseException as another:  # noqa: BLE001 - a plug-in's __str__ may raise anything
        return f"(its message cannot be shown: __str__ raised {type(another).__name__})"
    if len(message) > limit:
        message = f"{message[:limit]}…"
    # A lone surrogate could not be written into a record.
    return message.encode("utf-8", "backslashreplace").decode()


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` names that look like `name`, the most similar first.

    >>> nearest_names("magnitud", ["halo", "magnitude", "ssl"])
    ['magnitude']
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.5)
    return [by_folded[match] for match in matches]

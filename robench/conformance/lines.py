"""Which line of a plug-in changed something that it should have left alone."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType
    from typing import Any

    from robench.conformance.aspects import Aspects

__all__ = ["LineWatch", "line_in", "line_now"]


class LineWatch:
    """Reads aspects after every line of some files, and remembers where each one departed.

    It costs a reading a line, so that it is for finding a fault that is known to be there.

    Args:
        files: source files whose lines are watched.
        read: gives the aspects as they are now.

    Attributes:
        departures: aspect → ``"file:line"`` after which it was last no longer what it was at the
            start.
    """

    def __init__(self, files: frozenset[str], read: Callable[[], Aspects]) -> None:
        self.departures: dict[str, str] = {}
        self._files = files
        self._read = read
        self._start: Aspects = {}
        self._now: Aspects = {}
        self._line: str | None = None

    @contextmanager
    def watching(self, start: Aspects) -> Iterator[None]:
        """Watch while the block runs.

        Args:
            start: what counts as unchanged.
        """
        self._start, self._now, self._line = start, self._read(), None
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)
            self._look()

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        self._look()
        if event == "return":  # what follows happens on the line of the caller
            caller = frame.f_back
            inside = caller is not None and caller.f_code.co_filename in self._files
            self._line = _place(caller) if inside and caller is not None else self._line
        else:
            self._line = _place(frame)
        return self._trace

    def _look(self) -> None:
        after = self._read()
        for name in self._now | after:
            if self._now.get(name) == after.get(name):
                continue
            if after.get(name) == self._start.get(name):
                self.departures.pop(name, None)
            elif self._line is not None:
                self.departures[name] = self._line
        self._now = after


def line_now(files: frozenset[str]) -> str | None:
    """``"file:line"`` of the innermost call in progress that is in one of the files."""
    frames = (frame for frame, _ in traceback.walk_stack(sys._getframe(1)))
    return next((_place(frame) for frame in frames if frame.f_code.co_filename in files), None)


def line_in(files: frozenset[str], trace: TracebackType | None) -> str | None:
    """``"file:line"`` of the innermost call in a traceback that is in one of the files."""
    places = [f for f in traceback.extract_tb(trace) if f.filename in files]
    return f"{places[-1].filename}:{places[-1].lineno}" if places else None


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"

"""A small builder of LLVM IR: named values, and loops with loop-carried values."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Code", "Loop"]


class Loop:
    """A loop under construction.

    Attributes:
        index: name of the counter, an i64.
        carried: names of the loop-carried values (phi nodes).
        results: their names after the last iteration; valid once the loop is closed.
    """

    def __init__(self, index: str, carried: list[str]) -> None:
        self.index, self.carried = index, carried
        self.results = list(carried)

    def carry(self, values: Sequence[str]) -> None:
        """Set the values for the next iteration."""
        self.results = list(values)


class Code:
    """A module of LLVM IR, line by line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names = 0
        self._block = "entry"

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"

    def do(self, line: str) -> None:
        """Add a line."""
        self._lines.append(line)

    def let(self, value: str) -> str:
        """Assign a value to a new name."""
        name = f"%v{self._number()}"
        self.do(f"  {name} = {value}")
        return name

    def at(self, pointer: str, index: str | int, kind: str = "float") -> str:
        """Address of the element `index` after `pointer`."""
        return self.let(f"getelementptr {kind}, ptr {pointer}, i64 {index}")

    def load(self, kind: str, pointer: str) -> str:
        """Unaligned load."""
        return self.let(f"load {kind}, ptr {pointer}, align 4")

    def store(self, kind: str, value: str, pointer: str) -> None:
        """Unaligned store."""
        self.do(f"  store {kind} {value}, ptr {pointer}, align 4")

    def splat(self, lanes: int, value: str) -> str:
        """Broadcast a number to a vector of `lanes`."""
        kind = vector(lanes)
        first = self.let(f"insertelement {kind} poison, float {value}, i64 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.let(f"shufflevector {kind} {first}, {kind} poison, {zeros}")

    @contextmanager
    def function(self, head: str) -> Iterator[None]:
        """A function that returns void."""
        self.do(f"define {head} {{")
        self._start("entry")
        yield
        self.do("  ret void\n}")

    @contextmanager
    def loop(
        self,
        end: str | int,
        first: str | int = 0,
        *,
        carried: Sequence[tuple[str, str]] = (),
    ) -> Iterator[Loop]:
        """Count from `first` to `end` - 1, at least one iteration.

        Args:
            end: upper bound, an i64.
            first: first index, less than `end`.
            carried: type and initial value of the loop-carried values; see :meth:`Loop.carry`.
        """
        number, before = self._number(), self._block
        head, index = f"loop{number}", f"%i{number}"
        self.do(f"  br label %{head}")
        self._start(head)
        place = len(self._lines)
        loop = Loop(index, [f"%c{number}.{own}" for own in range(len(carried))])
        names = list(loop.carried)
        yield loop
        following = self.let(f"add nuw nsw i64 {index}, 1")
        more = self.let(f"icmp ult i64 {following}, {end}")
        self.do(f"  br i1 {more}, label %{head}, label %{head}.end")
        heads = [f"  {index} = phi i64 [{first}, %{before}], [{following}, %{self._block}]"]
        heads += [
            f"  {name} = phi {kind} [{value}, %{before}], [{result}, %{self._block}]"
            for name, (kind, value), result in zip(names, carried, loop.results, strict=True)
        ]
        self._lines[place:place] = heads
        self._start(f"{head}.end")

    def choose(self, condition: str, calls: tuple[str, str]) -> None:
        """Branch to one of two calls."""
        number = self._number()
        yes, no, end = (f"{word}{number}" for word in ("yes", "no", "end"))
        self.do(f"  br i1 {condition}, label %{yes}, label %{no}")
        for label, call in zip((yes, no), calls, strict=True):
            self._start(label)
            self.do(f"  {call}")
            self.do(f"  br label %{end}")
        self._start(end)

    def _number(self) -> int:
        self._names += 1
        return self._names

    def _start(self, label: str) -> None:
        self.do(f"{label}:")
        self._block = label


def vector(lanes: int) -> str:
    """Type of a vector of `lanes` floats."""
    return f"<{lanes} x float>"

"""What the kit found, as people read it and as JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, TypeVar

import robench
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Outcome", "Report", "RuleInfo", "RuleResult", "SubjectInfo", "report_on"]

Outcome = Literal["pass", "fail", "skip"]


class RuleResult(Frozen):
    """One rule, held against one plug-in."""

    rule: str
    meaning: str
    """What the rule asks for, in one sentence."""
    remedy: str
    """What to do about it where it is broken."""
    outcome: Outcome
    why: str
    """What was seen, in one line."""
    where: str | None = None
    """File and line of the plug-in that are at fault, where they can be told."""
    seconds: float
    """What the rule took; runs that several rules look at count for the first of them."""

    @property
    def complaint(self) -> str:
        """What is wrong, where, and what to do next, a line each."""
        lines = [f"{self.rule}: {self.why}"]
        lines += [f"  where:   {self.where}"] if self.where else []
        return "\n".join([*lines, f"  rule:    {self.meaning}", f"  next:    {self.remedy}"])


class RuleInfo(Frozen):
    """What a rule asks for, without the rule itself."""

    name: str
    meaning: str
    remedy: str


class SubjectInfo(Frozen):
    """Which plug-in is under test."""

    kind: str
    """The word for what it is: ``method``, ``attack``, …"""
    name: str
    version: int | None
    """`None` where it says nothing sensible."""
    file: str
    """The file that defines it."""
    line: str | None
    """File and line of the definition."""
    source_sha256: str
    """Hexadecimal hash of the file."""


class Report(Frozen):
    """All rules, held against one plug-in."""

    kind: str = "method"
    """The word for what it is: ``method``, ``attack``, ``degradation``, ``model``, ``data set``."""
    method: str
    """Its name."""
    version: int | None
    """`None` where it says nothing sensible."""
    source: str
    """File and line of the definition."""
    source_sha256: str
    """Hexadecimal hash of that file."""
    robench: str
    """The version of robench that checked."""
    results: tuple[RuleResult, ...]
    seconds: float

    @property
    def failed(self) -> tuple[RuleResult, ...]:
        """The rules that are broken."""
        return self.of("fail")

    def of(self, outcome: Outcome) -> tuple[RuleResult, ...]:
        """The results of one kind."""
        return tuple(result for result in self.results if result.outcome == outcome)


R = TypeVar("R")


def report_on(
    info: SubjectInfo,
    rules: Sequence[R],
    hold: Callable[[R], RuleResult],
    told: Callable[[RuleResult], None] = lambda _: None,
) -> Report:
    """Hold rules against one plug-in.

    Args:
        info: which plug-in.
        rules: which rules.
        hold: holds one rule against it.
        told: is given each result as soon as it is there.
    """
    clock = time.perf_counter()
    results = []
    for rule in rules:
        results.append(hold(rule))
        told(results[-1])
    return Report(
        kind=info.kind,
        method=info.name,
        version=info.version,
        source=info.line or info.file,
        source_sha256=info.source_sha256,
        robench=robench.__version__,
        results=tuple(results),
        seconds=round(time.perf_counter() - clock, 3),
    )

"""What the kit found, as people read it and as JSON."""

from __future__ import annotations

from typing import Literal

from robench.spec.base import Frozen

__all__ = ["Outcome", "Report", "RuleResult"]

Outcome = Literal["pass", "fail", "skip"]


class RuleResult(Frozen):
    """One rule, held against one method."""

    rule: str
    meaning: str
    """What the rule asks for, in one sentence."""
    remedy: str
    """What to do about it where it is broken."""
    outcome: Outcome
    why: str
    """What was seen, in one line."""
    where: str | None = None
    """File and line of the method that are at fault, where they can be told."""
    seconds: float
    """What the rule took; runs that several rules look at count for the first of them."""

    @property
    def complaint(self) -> str:
        """What is wrong, where, and what to do next, a line each."""
        lines = [f"{self.rule}: {self.why}"]
        lines += [f"  where:   {self.where}"] if self.where else []
        return "\n".join([*lines, f"  rule:    {self.meaning}", f"  next:    {self.remedy}"])


class Report(Frozen):
    """All rules, held against one method."""

    method: str
    version: int | None
    """`None` where the class says nothing sensible."""
    source: str
    """File and line of the class."""
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

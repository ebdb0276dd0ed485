"""Plug-ins of several kinds that break one rule each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from robench.conformance import check_rule, subjects_of
from robench.conformance.kit import RULES_OF
from robench.conformance.report import RuleResult
from robench.registry import all_registries

BROKEN = Path(__file__).parents[2] / "plugins" / "broken_kinds.py"


@pytest.fixture(scope="module")
def held() -> Iterator[Callable[[str, str], RuleResult]]:
    """``held(name, rule)``: the result of one rule for one of the broken plug-ins."""
    before = {room: dict(registry._entries) for room, registry in all_registries().items()}
    subjects = {subject.name: subject for subject in subjects_of(BROKEN)}

    def hold(name: str, rule: str) -> RuleResult:
        subject = subjects[name]
        result = check_rule(RULES_OF[subject.word][rule], subject)
        if result.outcome == "fail" and result.where is not None:
            assert result.where.startswith(f"{BROKEN}:")
        return result

    yield hold
    for room, registry in all_registries().items():
        registry._entries = before[room]  # others count what is registered

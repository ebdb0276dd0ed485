"""The rules of attacks, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.conformance.report import RuleResult


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("broken-raises", "runs", "raised ZeroDivisionError"),
        ("broken-idle", "changes-a-class", "none of 12 images"),
        ("broken-draws", "deterministic", "two runs with one seed differ"),
        ("broken-draws", "restores-globals", "torch's global generator changed"),
        ("broken-batch", "images-are-independent", "in other batches"),
        ("broken-params", "made-by-default", "needs the parameter 'steps'"),
    ],
)
def test_each_rule_is_broken_by_what_breaks_it(
    held: Callable[[str, str], RuleResult], name: str, rule: str, words: str
) -> None:
    result = held(name, rule)
    assert result.outcome == ("skip" if rule == "made-by-default" else "fail"), result.why
    assert words in result.why

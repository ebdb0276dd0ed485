"""The rules of models, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.conformance.report import RuleResult


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("broken-logits", "takes-or-declines", "give (6, 3), not (6, 4)"),
        ("broken-batch-norm", "samples-are-independent", "alone, logits differ"),
        ("broken-detached", "gradients-flow", "no finite gradient by"),
        ("broken-state", "reloads", "with the same state it gives other logits"),
        ("broken-pruned", "names-prunable-weights", "is no parameter of it"),
    ],
)
def test_each_rule_is_broken_by_what_breaks_it(
    held: Callable[[str, str], RuleResult], name: str, rule: str, words: str
) -> None:
    result = held(name, rule)
    assert result.outcome == "fail", result.why
    assert words in result.why

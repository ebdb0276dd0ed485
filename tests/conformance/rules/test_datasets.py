"""The rules of data sets, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.conformance.report import RuleResult


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("broken-drawn", "same-every-time", "loaded twice, it differs"),
        ("broken-twice", "no-input-is-repeated", "test inputs are training inputs as well"),
    ],
)
def test_each_rule_is_broken_by_what_breaks_it(
    held: Callable[[str, str], RuleResult], name: str, rule: str, words: str
) -> None:
    result = held(name, rule)
    assert result.outcome == "fail", result.why
    assert words in result.why

"""The rules of degradations, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robench.conformance.report import RuleResult


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("broken-range", "every-level-gives-images", "it leaves [0, 1] at level 1"),
        ("broken-same", "levels-matter", "are the same picture"),
        ("broken-noise", "deterministic", "one seed gives different pixels"),
        ("broken-mean", "images-are-independent", "alone, an image differs"),
        ("broken-in-place", "leaves-inputs-alone", "writes into the images"),
    ],
)
def test_each_rule_is_broken_by_what_breaks_it(
    held: Callable[[str, str], RuleResult], name: str, rule: str, words: str
) -> None:
    result = held(name, rule)
    assert result.outcome == "fail", result.why
    assert words in result.why

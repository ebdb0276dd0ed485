"""Rules: what the decorator makes of a function."""

from __future__ import annotations

import pytest

from robench.conformance.kit import RULES_OF
from robench.conformance.rule import BrokenError, SkippedError, rule


def test_a_rule_takes_its_name_and_meaning_from_the_function() -> None:
    @rule("do this")
    def keeps_its_word(subject: object) -> str:
        """The plug-in keeps its word."""
        return f"seen {subject}"

    assert keeps_its_word.name == "keeps-its-word"
    assert keeps_its_word.meaning == "The plug-in keeps its word."
    assert keeps_its_word.remedy == "do this"
    assert keeps_its_word.check("x") == "seen x"


def test_a_broken_rule_tells_what_was_seen_and_where() -> None:
    error = BrokenError("logits are NaN", "file.py:3")
    assert (str(error), error.why, error.where) == ("logits are NaN", "logits are NaN", "file.py:3")
    assert BrokenError("logits are NaN").where is None
    assert not issubclass(SkippedError, BrokenError)


@pytest.mark.parametrize("word", RULES_OF)
def test_every_rule_has_a_sentence_and_a_remedy(word: str) -> None:
    for name, one in RULES_OF[word].items():
        assert one.name == name
        assert one.meaning.endswith(".")
        assert "\n" not in one.meaning
        assert one.remedy

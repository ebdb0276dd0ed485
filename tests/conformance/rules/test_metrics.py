"""The rules of metrics, each broken by a metric that is wrong in one way."""

from __future__ import annotations

import pytest
import torch

from robench.conformance.kit import RULES_OF, check_rule
from robench.conformance.subject import PluginSubject
from robench.stages.scores import SCORES, Answers, Score
from robench.stages.scores.base import Figure


class Sound(Score):
    """Share of right answers."""

    name = "sound"
    title = "sound"
    bounds = (0.0, 1.0)

    def measure(self, answers: Answers) -> Figure:
        return Figure(float(answers.correct.mean()))


def broken(measure: object, **more: object) -> type[Score]:
    return type("Broken", (Sound,), {"measure": measure, **more})


def writes(self: Score, answers: Answers) -> Figure:
    answers.labels[0] += 1
    return Figure(0.5)


CASES = {
    "number": ("measures", broken(lambda s, a: 0.5), "gives float"),
    "nan": ("measures", broken(lambda s, a: Figure(float("nan"))), "gives nan"),
    "bounds": ("keeps-within-bounds", broken(lambda s, a: Figure(2.0)), "beyond bounds"),
    "interval": (
        "keeps-within-bounds",
        broken(lambda s, a: Figure(0.5, 0.6, 0.7)),
        "leaves out the value",
    ),
    "order": (
        "order-does-not-matter",
        broken(lambda s, a: Figure(float(a.confidence[0]))),
        "in another order",
    ),
    "random": (
        "deterministic",
        broken(lambda s, a: Figure(float(torch.rand(())))),
        "measured twice|generator changed",
    ),
    "writes": ("deterministic", broken(writes), "writes into the answers"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_breaks_a_rule_is_told(case: str) -> None:
    rule, value, words = CASES[case]
    result = check_rule(RULES_OF["metric"][rule], PluginSubject(SCORES, "broken", value))
    assert result.outcome == "fail"
    assert any(word in result.why for word in words.split("|")), result.why


@pytest.mark.parametrize("rule", [name for name in RULES_OF["metric"] if name != "imports-cleanly"])
def test_a_sound_one_keeps_them(rule: str) -> None:
    result = check_rule(RULES_OF["metric"][rule], PluginSubject(SCORES, "sound", Sound))
    assert result.outcome == "pass", result.why

"""Plug-ins of every kind that come with robench keep their rules."""

from __future__ import annotations

import pytest

from robench.conformance import check_rule, subjects_of
from robench.conformance.kit import RULES_OF
from robench.registry import all_registries

OTHERS = {word: rules for word, rules in RULES_OF.items() if word != "method"}


def test_every_kind_has_its_rules() -> None:
    for kind, rules in OTHERS.items():
        assert len(rules) >= {"view": 2, "metric": 6}.get(kind, 9)


SAMPLE = {
    "attacks": ("deepfool", "fgsm"),
    "degradations": ("contrast", "uniform-noise", "rotation"),
    "models": ("mlp", "convnet"),
    "datasets": ("digits", "breast-cancer"),
    "stages": (),  # a minute for each, see below
    "metrics": ("ece", "nll"),
    "views": ("speed",),
}


def complaints(room: str, name: str, *, without: str = "") -> list[str]:
    found = []
    for subject in subjects_of(name):
        if subject.registry is all_registries()[room]:
            rules = [rule for key, rule in RULES_OF[subject.word].items() if key != without]
            results = [check_rule(rule, subject) for rule in rules]
            found += [result.complaint for result in results if result.outcome == "fail"]
    return found


@pytest.mark.parametrize(("room", "name"), [(r, n) for r, names in SAMPLE.items() for n in names])
def test_some_of_robenchs_own(room: str, name: str) -> None:
    assert not complaints(room, name, without="imports-cleanly")  # which starts a process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("room", "name"), [(room, n) for room in SAMPLE for n in all_registries()[room].names()]
)
def test_all_of_robenchs_own(room: str, name: str) -> None:
    assert not complaints(room, name)

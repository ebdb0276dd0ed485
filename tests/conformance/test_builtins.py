"""Every method that comes with robench passes the kit."""

from __future__ import annotations

import pytest

from robench.conformance import RULES, subjects_of
from robench.conformance.kit import check_rule

ALWAYS = ("dense", "random", "magnitude")
NAMES = [subject.name for subject in subjects_of("all")]
RULES_IN_THIS_PROCESS = [rule for name, rule in RULES.items() if name != "imports-cleanly"]


def complaints(name: str, rules) -> list[str]:
    (subject,) = subjects_of(name)
    results = [check_rule(rule, subject) for rule in rules]
    return [result.complaint for result in results if result.outcome == "fail"]


@pytest.mark.parametrize("name", ALWAYS)
def test_the_controls(name):
    assert not complaints(name, RULES_IN_THIS_PROCESS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_rule_for_every_method(name):
    assert not complaints(name, RULES.values())


def test_all_are_the_methods_of_robench_itself():
    assert {*ALWAYS, "halo", "ssl"} <= set(NAMES)
    assert all(s.kind.__module__.startswith("robench.") for s in subjects_of("all"))

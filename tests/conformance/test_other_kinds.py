"""Attacks, degradations, models and data sets: their rules, and what breaks them."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.conformance import check_rule, subjects_of
from robench.conformance.kit import RULES_OF
from robench.registry import all_registries

BROKEN = Path(__file__).parents[1] / "plugins" / "broken_kinds.py"
OTHERS = {word: rules for word, rules in RULES_OF.items() if word != "method"}


@pytest.fixture(scope="module")
def broken():
    before = {room: dict(registry._entries) for room, registry in all_registries().items()}
    yield {subject.name: subject for subject in subjects_of(BROKEN)}
    for room, registry in all_registries().items():
        registry._entries = before[room]  # others count what is registered


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("broken-raises", "runs", "raised ZeroDivisionError"),
        ("broken-idle", "changes-a-class", "none of 12 images"),
        ("broken-draws", "deterministic", "two runs with one seed differ"),
        ("broken-draws", "restores-globals", "torch's global generator changed"),
        ("broken-batch", "images-are-independent", "in other batches"),
        ("broken-params", "made-by-default", "needs the parameter 'steps'"),
        ("broken-range", "every-level-gives-images", "it leaves [0, 1] at level 1"),
        ("broken-same", "levels-matter", "are the same picture"),
        ("broken-noise", "deterministic", "one seed gives different pixels"),
        ("broken-mean", "images-are-independent", "alone, an image differs"),
        ("broken-in-place", "leaves-inputs-alone", "writes into the images"),
        ("broken-logits", "takes-or-declines", "give (6, 3), not (6, 4)"),
        ("broken-batch-norm", "samples-are-independent", "alone, logits differ"),
        ("broken-detached", "gradients-flow", "no finite gradient by"),
        ("broken-state", "reloads", "with the same state it gives other logits"),
        ("broken-pruned", "names-prunable-weights", "is no parameter of it"),
        ("broken-drawn", "same-every-time", "loaded twice, it differs"),
        ("broken-twice", "no-input-is-repeated", "test inputs are training inputs as well"),
    ],
)
def test_each_rule_is_broken_by_what_breaks_it(broken, name, rule, words) -> None:
    subject = broken[name]
    result = check_rule(OTHERS[subject.word][rule], subject)
    assert result.outcome == ("skip" if rule == "made-by-default" else "fail"), result.why
    assert words in result.why
    if result.outcome == "fail" and result.where is not None:
        assert result.where.startswith(f"{BROKEN}:")


def test_every_rule_of_every_kind_says_what_it_asks_for() -> None:
    for kind, rules in OTHERS.items():
        assert len(rules) >= {"view": 2, "metric": 6}.get(kind, 9)
        for name, rule in rules.items():
            assert rule.name == name
            assert rule.meaning.endswith(".")
            assert "\n" not in rule.meaning
            assert rule.remedy


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

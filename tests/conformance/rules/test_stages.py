"""The rules of stages, and what breaks each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from robench.conformance import check_rule, subjects_of
from robench.conformance.kit import RULES_OF
from robench.conformance.subject import PluginSubject
from robench.stages import STAGES

MARGIN = Path(__file__).parents[2] / "plugins" / "margin.py"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    entries = dict(STAGES._entries)
    yield
    STAGES._entries = entries


def subject_with(folder: Path, old: str, new: str) -> PluginSubject:
    text = MARGIN.read_text()
    assert old in text
    file = folder / "margin.py"
    file.write_text(text.replace(old, new))
    (subject,) = subjects_of(file)
    return subject


def test_the_sample_keeps_to_all_of_them(tmp_path: Path) -> None:
    subject = subject_with(tmp_path, "Mean gap", "Mean gap")
    results = [
        check_rule(rule, subject)
        for name, rule in RULES_OF["stage"].items()
        if name != "imports-cleanly"  # which starts a process
    ]
    assert [result.complaint for result in results if result.outcome != "pass"] == []


GAPS = "gaps = first - second\n"


@pytest.mark.parametrize(
    ("rule", "old", "new", "words"),
    [
        ("runs", GAPS, GAPS + "        raise ZeroDivisionError\n", "ZeroDivisionError"),
        ("metrics-as-declared", 'Metric(name="margin"', 'Metric(name="gap"', "no 'margin'"),
        ("metrics-as-declared", "float(gaps.mean())", "-1.0", "is -1, outside of its bounds"),
        (
            "metrics-are-told-apart",
            "metrics=(Metric(",
            'metrics=(Metric(name="margin", value=1.0), Metric(',
            "'margin' is there twice",
        ),
        (
            "details-in-order",
            '"narrowest": float',
            '"smallest": float',
            "not those that it declares",
        ),
        (
            "arrays-in-order",
            "metrics=(Metric(",
            'arrays={"gaps": gaps}, metrics=(Metric(',
            "the array 'gaps' is torch.float32",
        ),
        ("deterministic", "float(gaps.mean())", "torch.rand(1).item()", "two runs differ"),
        ("restores-globals", GAPS, GAPS + "        torch.rand(1)\n", "global generator changed"),
    ],
)
def test_each_rule_is_broken_by_what_breaks_it(tmp_path, rule, old, new, words) -> None:
    subject = subject_with(tmp_path, old, new)
    text = Path(subject.file).read_text()
    assert "import torch" not in text
    Path(subject.file).write_text(text.replace("from pydantic", "import torch\nfrom pydantic"))
    (subject,) = subjects_of(subject.file)
    result = check_rule(RULES_OF["stage"][rule], subject)
    assert result.outcome == "fail"
    assert words in result.why

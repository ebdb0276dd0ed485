"""Reports: robust accuracy, and equality by value."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.report import AttackReport
from robench.attacks.suite.suites import AttackSuite
from robench.errors import InputError


def test_robust_accuracy_at_a_radius_is_a_share_of_all_images(report: AttackReport) -> None:
    assert report.robust_accuracy(0) == report.correct.double().mean().item()
    radius = report.distance[5].item()
    assert report.robust_accuracy(radius) == (report.distance > radius).double().mean().item()
    assert report.robust_accuracy(float("inf")) == 0
    for wrong in (-0.1, float("nan")):
        with pytest.raises(InputError, match="radius is"):
            report.robust_accuracy(wrong)


def test_the_former_name_of_robust_accuracy_works_with_a_warning(report: AttackReport) -> None:
    with pytest.warns(DeprecationWarning, match=r"is called robust_accuracy\(\) now"):
        assert report.accuracy_at(0.5) == report.robust_accuracy(0.5)


def test_reports_are_equal_by_value(report: AttackReport, digits, two_attacks: AttackSuite) -> None:
    again = minimal_l2(digits.model, digits.images[:40], digits.labels[:40], two_attacks)
    assert again == report  # whatever the time that it took
    assert report != "a report"
    assert (report == None) is False  # noqa: E711
    assert replace(report, distance=report.distance + 1) != report
    assert replace(report, seed=1) != report
    assert replace(report, margin=report.margin.float()) != report
    member = report.attacks["ddn"]
    assert replace(member, seconds=9.0) == member
    assert replace(member, forwards=member.forwards + 1) != member
    nan = replace(report, norm=report.norm * torch.nan)
    assert nan == replace(report, norm=report.norm * torch.nan)

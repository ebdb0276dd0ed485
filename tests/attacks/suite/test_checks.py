"""Flags that need attacks of their own."""

from __future__ import annotations

import pytest
import torch

from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.surrogates import OWN, GradientSource
from robench.attacks.suite import checks
from robench.attacks.suite.checks import images_to_check, run_checks
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.runs import runs_of
from robench.attacks.suite.suites import AttackSuite, Member


def suite_of(*members: Member, names=("converge", "seeds", "noise")) -> AttackSuite:
    return AttackSuite("mine", 1, members, checks=names)


LONG = Member("ddn", {"steps": 100, "targets": 9}, doubled={"steps": 200})
SHORT = Member("ddn", {"steps": 6}, doubled={"steps": 12})


def flags_of(task, suite: AttackSuite, count: int = 20):
    return minimal_l2(task.model, task.images[:count], task.labels[:count], suite).flags


def test_enough_steps_raise_nothing_and_too_few_do(digits) -> None:
    enough = flags_of(digits, suite_of(LONG, names=("converge",)))["converge"]
    assert 0 <= enough.value < 0.01
    assert not enough.raised
    few = flags_of(digits, suite_of(SHORT, names=("converge",)))["converge"]
    assert few.raised


def test_what_is_not_asked_for_is_not_measured(digits) -> None:
    report = minimal_l2(digits.model, *digits.correct(5), suite_of(SHORT, names=("noise",)))
    assert report.flags["noise"].value > 1.5
    assert report.flags["converge"].value is None
    assert report.flags["seeds"].value is None
    assert minimal_l2(digits.model, *digits.correct(5), suite_of(SHORT, names=())).checks is None


def test_seeds_change_nothing_where_nothing_is_random(digits) -> None:
    assert flags_of(digits, suite_of(SHORT, names=("seeds",)))["seeds"].value == 0
    random = suite_of(Member("hopskipjump", {"steps": 1, "probes": 5}), names=("seeds",))
    assert flags_of(digits, random, count=12)["seeds"].value > 0


def test_random_directions_come_close_to_a_bad_attack_only(digits) -> None:
    good = flags_of(digits, suite_of(LONG, names=("noise",)))["noise"]
    assert good.value > 2
    assert not good.raised
    bad = Member("hopskipjump", {"steps": 1, "probes": 2})
    poor = flags_of(digits, suite_of(bad, names=("noise",)), count=12)["noise"]
    assert poor.value < good.value


def test_the_cost_is_told(digits, monkeypatch) -> None:
    monkeypatch.setattr(checks, "LEAST", 3)
    member = Member("ddn", {"steps": 4}, doubled={"steps": 8})
    images, labels = digits.correct(10)
    report = minimal_l2(digits.model, images, labels, suite_of(member, names=("converge", "seeds")))
    # Three images, each twice 8 passes and twice 4, and bisections of 12.
    assert report.checks.images == 3
    assert report.checks.passes == 3 * (16 + 12 + 8 + 12)
    assert report.checks.seconds > 0
    assert (report.passes == 8 + 12).all()


@pytest.mark.parametrize(
    ("correct", "checked"), [(0, 0), (7, 7), (40, 32), (512, 32), (1000, 62), (10_000, 128)]
)
def test_checks_run_on_a_sixteenth_of_the_images(correct: int, checked: int) -> None:
    assert images_to_check(correct) == checked


def test_where_nothing_is_correct_there_is_nothing_to_check(digits) -> None:
    images, labels = digits.correct(4)
    report = minimal_l2(digits.model, images, (labels + 1) % 10, suite_of(SHORT))
    assert report.checks.images == 0
    assert report.flags["seeds"].value is None
    assert not report.raised


@pytest.mark.parametrize("batch_size", [2, 64])
def test_images_go_in_batches(digits, batch_size: int) -> None:
    inputs = check_inputs(digits.model, *digits.correct(5), batch_size=batch_size)
    runs = runs_of(suite_of(SHORT), [GradientSource(OWN)], inputs)
    found = {"ddn": torch.full((5,), 2.0, dtype=torch.float64)}
    outcome = run_checks(("converge",), inputs, runs, found)
    assert 0 < outcome.values["converge"] < 1

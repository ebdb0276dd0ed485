"""The runs of a suite: views, restarts, budgets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.surrogates import OWN, GradientSource
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.runs import runs_of, with_seed
from robench.attacks.suite.suites import AttackSuite, Member
from robench.errors import ParameterError, UnknownNameError

DDN = Member("ddn", {"steps": 5}, budget=10, doubled={"steps": 10})
NEAREST = Member("nearest-other-class", budget=161, is_gradient_free=True)
SUITE = AttackSuite("mine", 1, (DDN, NEAREST), rounds=3)
SURROGATES = [
    GradientSource(OWN),
    GradientSource("tanh", torch.nn.Identity(), 1),
    GradientSource("smoothed", torch.nn.Identity(), 10),
]


def problem_of(digits):
    return check_inputs(digits.model, *digits.correct(8))


@pytest.mark.parametrize(
    ("views", "rounds", "keys"),
    [
        (1, 1, ["ddn"]),
        (1, 3, ["ddn", "ddn#1", "ddn#2"]),
        (2, 3, ["ddn", "ddn@tanh", "ddn#1"]),
        (3, 3, ["ddn", "ddn@tanh", "ddn@smoothed"]),
        (3, 2, ["ddn", "ddn@tanh", "ddn@smoothed"]),
    ],
)
def test_rounds_are_views_first_and_then_restarts(digits, views, rounds, keys) -> None:
    suite = replace(SUITE, rounds=rounds, smoothed=True)
    runs = runs_of(suite, SURROGATES[:views], problem_of(digits))
    assert sorted(runs) == sorted([*keys, "nearest-other-class"])


def test_a_surrogates_passes_are_allowed_for(digits) -> None:
    runs = runs_of(replace(SUITE, smoothed=True), SURROGATES, problem_of(digits))
    allowed = {key: run.allowed for key, run in runs.items()}
    # A gradient costs 2 passes; with a surrogate 3, with one of ten shifts 21; bisection costs 12.
    assert allowed["ddn"] == 10 + 12
    assert allowed["ddn@tanh"] == 15 + 12
    assert allowed["ddn@smoothed"] == 105 + 12
    assert (
        runs_of(replace(SUITE, members=(Member("ddn"),)), SURROGATES[:1], problem_of(digits))[
            "ddn"
        ].allowed
        is None
    )


def test_the_smoothed_gradient_serves_suites_that_ask_for_it(digits) -> None:
    runs = runs_of(replace(SUITE, smoothed=False), SURROGATES, problem_of(digits))
    assert "ddn@tanh" in runs
    assert "ddn@smoothed" not in runs


def test_what_is_used_never_exceeds_what_is_allowed(signs) -> None:
    images, labels = signs.images[:10], signs.labels[:10]
    report = minimal_l2(signs.model, images, labels, replace(SUITE, smoothed=True))
    assert set(report.attacks) == {"ddn", "ddn@tanh", "ddn@smoothed", "nearest-other-class"}
    used = {key: int(member.passes.max()) for key, member in report.attacks.items()}
    assert used["ddn"] == 22
    assert used["ddn@tanh"] == 27
    assert used["ddn@smoothed"] == 117
    assert report.allowed == 22 + 27 + 117 + 161 + 12
    assert int(report.passes.max()) <= report.allowed


def test_a_budget_is_hard(digits) -> None:
    images, labels = digits.correct(8)
    suite = AttackSuite("mine", 1, (Member("ddn", {"steps": 1000}, budget=7),))
    report = minimal_l2(digits.model, images, labels, suite)
    assert (report.attacks["ddn"].passes <= 7 + 12).all()
    assert (report.attacks["ddn"].forwards - 12 <= 4).all()


def test_restarts_begin_elsewhere_and_never_lengthen_anything(digits) -> None:
    images, labels = digits.correct(20)
    once = minimal_l2(digits.model, images, labels, replace(SUITE, rounds=1))
    more = minimal_l2(digits.model, images, labels, SUITE)
    assert set(more.attacks) == {"ddn", "ddn#1", "ddn#2", "nearest-other-class"}
    assert torch.equal(more.attacks["ddn"].distance, once.attacks["ddn"].distance)
    assert (more.distance <= once.distance).all()
    first, second = more.attacks["ddn#1"].distance, more.attacks["ddn#2"].distance
    assert not torch.equal(first, more.attacks["ddn"].distance)
    assert not torch.equal(first, second)
    again = minimal_l2(digits.model, images, labels, SUITE, batch_size=64)
    assert torch.equal(again.attacks["ddn#1"].distance, first)


def test_a_run_of_twice_the_length(digits) -> None:
    runs = runs_of(SUITE, SURROGATES[:1], problem_of(digits))
    longer = runs["ddn"].doubled()
    assert longer.attack.params.steps == 10
    assert longer.limit == 20
    assert runs["nearest-other-class"].doubled() is None


def test_other_seeds_are_other_numbers(digits) -> None:
    inputs = problem_of(digits)
    seeds = {with_seed(replace(inputs, seed=2**63 - 1), number).seed for number in range(50)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert with_seed(inputs, 0).seed == inputs.seed


def test_a_suite_that_cannot_run_is_refused_before_anything_runs(digits) -> None:
    images, labels = digits.correct(2)
    with pytest.raises(ParameterError, match="has no parameter 'stepz'"):
        minimal_l2(
            digits.model, images, labels, AttackSuite("m", 1, (Member("ddn", {"stepz": 1}),))
        )
    with pytest.raises(UnknownNameError, match="no attack 'dnn'"):
        minimal_l2(digits.model, images, labels, AttackSuite("m", 1, (Member("dnn"),)))


def test_a_refinement_goes_on_from_the_closest_of_all(signs) -> None:
    refinement = Member(
        "hopskipjump",
        {"steps": 6, "reach": 0.1},
        label="refinement",
        is_gradient_free=True,
        is_refinement=True,
    )
    suite = AttackSuite("mine", 1, (refinement, DDN, NEAREST), rounds=2)
    images, labels = signs.images[:20], signs.labels[:20]
    report = minimal_l2(signs.model, images, labels, suite)
    # It stands first in the suite, and runs last.
    assert list(report.attacks)[-1] == "refinement"
    last = report.attacks["refinement"]
    assert last.is_refinement
    others = [member for key, member in report.attacks.items() if key != "refinement"]
    known = torch.stack([member.distance_on_ray for member in others]).amin(dim=0)
    assert (last.distance <= known * (1 + 1e-6)).all()
    assert last.distance.mean() < 0.9 * known.mean()
    assert report.flags["bbwins"].raised
    # The best single attack is one of those that stand for themselves.
    assert report.flags["single"].value == pytest.approx(max(m.optimality for m in others))

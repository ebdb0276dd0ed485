"""A longer suite contains the shorter one, so that no image gets a longer distance by it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.surrogates import gradient_sources
from robench.attacks.suite.best_adversarials import BestAdversarials
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.runs import runs_of
from robench.attacks.suite.suites import SUITES, AttackSuite, Member
from robench.errors import InputError

NETWORKS = ("digits", "winners", "signs", "robust")


def refinement(label: str, steps: int) -> Member:
    params = {"steps": steps, "probes": 5, "reach": 0.1}
    return Member("hopskipjump", params, label, 200, is_gradient_free=True, is_refinement=True)


SHORT = AttackSuite(
    name="short",
    version=1,
    members=(
        Member("ddn", {"steps": 20, "targets": 2}, budget=80),
        Member("nearest-other-class", {"candidates": 3}, budget=48, is_gradient_free=True),
        refinement("refinement", 3),
    ),
)
MIDDLE = AttackSuite(
    name="middle",
    version=1,
    extends=SHORT,
    members=(*SHORT.members, Member("alma", {"steps": 40}, budget=80), refinement("more", 2)),
)
LONG = AttackSuite(
    name="long",
    version=1,
    extends=MIDDLE,
    members=(*MIDDLE.members, Member("fmn", {"steps": 20}, budget=40), refinement("most", 2)),
    rounds=3,
    smoothed=True,
)


def test_the_frozen_suites_are_nested() -> None:
    quick, std, full = (SUITES[f"l2-{name}"] for name in ("quick", "std", "full"))
    assert [level.name for level in full.levels] == ["l2-quick", "l2-std", "l2-full"]
    assert (std.levels, quick.levels) == ((quick, std), (quick,))


@pytest.mark.parametrize("name", ["digits", "signs"])
@pytest.mark.parametrize(
    "suites", [(SHORT, MIDDLE, LONG), tuple(SUITES["l2-full"].levels)], ids=["own", "frozen"]
)
def test_the_runs_of_a_suite_are_the_first_ones_of_those_that_extend_it(
    name: str, suites: tuple[AttackSuite, ...], request: pytest.FixtureRequest
) -> None:
    task = request.getfixturevalue(name)
    inputs = check_inputs(task.model, *task.correct(3))
    runs = []
    for suite in suites:
        views = gradient_sources(inputs, smoothed=suite.smoothed)
        runs.append(list(runs_of(suite, views, inputs).values()))
    assert len(runs[0]) < len(runs[1]) < len(runs[2])
    for shorter, longer in itertools.pairwise(runs):
        for own, same in zip(shorter, longer, strict=False):
            assert (own.key, own.member, own.restart) == (same.key, same.member, same.restart)
            assert own.attack.params == same.attack.params
            assert (own.view.name, own.ray_steps) == (same.view.name, same.ray_steps)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_distance_grows_in_a_longer_suite(name: str, request: pytest.FixtureRequest) -> None:
    task = request.getfixturevalue(name)
    images, labels = task.images[:12], task.labels[:12]
    short, middle, long = (
        minimal_l2(task.model, images, labels, suite, seed=3, batch_size=8)
        for suite in (SHORT, MIDDLE, LONG)
    )
    assert (middle.distance <= short.distance).all()
    assert (long.distance <= middle.distance).all()
    assert (long.distance < short.distance).any()
    for key, member in short.attacks.items():
        assert torch.equal(member.distance_on_ray, long.attacks[key].distance_on_ray)
        assert torch.equal(member.passes, long.attacks[key].passes)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_no_distance_grows_in_a_longer_frozen_suite(
    name: str, request: pytest.FixtureRequest
) -> None:
    task = request.getfixturevalue(name)
    images, labels = task.images[:16], task.labels[:16]
    quick, std, full = (
        minimal_l2(task.model, images, labels, suite)
        for suite in (replace(level, checks=()) for level in SUITES["l2-full"].levels)
    )
    assert (std.distance <= quick.distance).all()
    assert (full.distance <= std.distance).all()


def test_of_two_choices_the_closer_one_counts() -> None:
    first = closest_at([0.5, 0.6, torch.inf], winner="short")
    second = closest_at([0.4, 0.7, torch.inf], winner="long")
    both = first.or_closer(second)
    assert both.distance.tolist() == [0.4, 0.6, torch.inf]
    assert both.winner == ("long", "short", "short")
    assert both.adversarial[:, 0].tolist() == pytest.approx([0.4, 0.6, 0.0])
    assert both.lost.tolist() == [False, False, True]


def closest_at(distances: list[float], winner: str) -> BestAdversarials:
    distance = torch.tensor(distances, dtype=torch.float64)
    found = distance.isfinite()
    return BestAdversarials(
        adversarial=torch.where(found, distance, 0.0).float()[:, None],
        distance=distance,
        margin=distance / 10,
        winner=(winner,) * len(distances),
        lost=~found,
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"members": SHORT.members[1:]},
        {"members": (*SHORT.members[::-1], Member("fmn"))},
        {"ray_steps": 3},
        {"extends": replace(SHORT, rounds=2)},
        {"extends": replace(SHORT, smoothed=True)},
    ],
)
def test_what_does_not_contain_a_suite_cannot_extend_it(changed: dict[str, object]) -> None:
    with pytest.raises(InputError, match="does not contain 'short/1'"):
        replace(MIDDLE, **changed)

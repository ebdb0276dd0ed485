"""Suites are frozen: a changed default must become a new version."""

from __future__ import annotations

import pytest

from robench.attacks import ATTACKS
from robench.attacks.suite.suites import SUITES, AttackSuite, Member, attack_suite, suite_version
from robench.errors import InputError, UnknownNameError

LINEAR = {"classes": 10, "overshoot": 0.02, "steepening": 2.0}
DDN = {"gamma": 0.05, "initial_norm": 1.0}
ALMA = {"alpha": 0.9, "first_step": 1.0}
FAB = {"steps": 8, "targets": 9, "first_share": 1.0, "last_share": 0.3, "overshoot": 0.01}


def refinement(
    steps: int, probes: int, patience: int, budget: int, reach: float = 0.06
) -> tuple[object, ...]:
    walk = {"growth": 1.0, "reach": reach, "momentum": 0.5, "patience": patience}
    return ("hopskipjump", 1, {"steps": steps, "probes": probes, **walk}, budget)


DEEPFOOL = ("deepfool", 1, {"steps": 50, **LINEAR}, 550)
SUPERDEEPFOOL = ("superdeepfool", 1, {"rounds": 20, "steps": 20, **LINEAR}, 600)
APGD = ("apgd", 1, {"steps": 20, "bisections": 10, "targets": 0, "momentum": 0.75}, 450)
FMN = (
    "fmn",
    1,
    {"steps": 100, "step_length": 1, "gamma": 0.05, "targets": 0, "start": "adversarial"},
    220,
)
HOPSKIPJUMP = (
    "hopskipjump",
    1,
    {"steps": 20, "probes": 50, "growth": 0.5, "reach": None, "momentum": 0.0, "patience": 20},
    3700,
)
NEAREST = ("nearest-other-class", 1, {"candidates": 10, "steps": 15}, 160)
TRANSFER = ("transfer", 1, {"steps": 12}, 18)
STANDARD_1 = [
    DEEPFOOL,
    SUPERDEEPFOOL,
    ("ddn", 1, {"steps": 100, "targets": 9, **DDN}, 1800),
    ("alma", 1, {"steps": 1000, "targets": 0, **ALMA}, 2000),
    APGD,
    NEAREST,
]
QUICK_2 = [
    DEEPFOOL,
    ("alma", 1, {"steps": 300, "targets": 0, **ALMA}, 600),
    ("alma", 1, {"steps": 100, "targets": 3, **ALMA}, 600),
    ("fab", 1, FAB, 153),
    NEAREST,
    refinement(30, 5, 5, 2700),
]
STANDARD_2 = [
    *QUICK_2,
    SUPERDEEPFOOL,
    ("alma", 1, {"steps": 1000, "targets": 0, **ALMA}, 2000),
    ("alma", 1, {"steps": 200, "targets": 3, **ALMA}, 1200),
    APGD,
    refinement(30, 20, 5, 4600, reach=0.03),
]
CONTENTS = {
    "l2-smoke/2": [
        ("deepfool", 1, {"steps": 20, **LINEAR}, 220),
        ("ddn", 1, {"steps": 20, "targets": 0, **DDN}, 40),
    ],
    "l2-quick/1": [
        DEEPFOOL,
        ("ddn", 1, {"steps": 100, "targets": 3, **DDN}, 600),
        ("alma", 1, {"steps": 300, "targets": 0, **ALMA}, 600),
        NEAREST,
        refinement(30, 5, 5, 2700),
    ],
    "l2-quick/2": QUICK_2,
    "l2-std/1": [*STANDARD_1, refinement(40, 5, 8, 4600)],
    "l2-std/2": STANDARD_2,
    "l2-full/1": [
        *STANDARD_1,
        ("alma", 1, {"steps": 300, "targets": 3, **ALMA}, 1800),
        FMN,
        HOPSKIPJUMP,
        TRANSFER,
        refinement(45, 10, 8, 11_000),
    ],
    "l2-full/2": [
        *STANDARD_2,
        ("alma", 1, {"steps": 100, "targets": 9, **ALMA}, 1800),
        ("ddn", 1, {"steps": 100, "targets": 9, **DDN}, 1800),
        FMN,
        HOPSKIPJUMP,
        TRANSFER,
        refinement(30, 40, 5, 11_000, reach=0.015),
    ],
}
"""Never edit an entry; add one for each new version."""
ROUNDS = {"l2-full": (4, True)}
CHECKS = {"l2-std": ("converge", "noise", "seeds"), "l2-full": ("converge", "noise", "seeds")}


@pytest.mark.parametrize("suite", SUITES.values(), ids=str)
def test_a_version_always_means_the_same(suite: AttackSuite) -> None:
    resolved = []
    for member in suite.members:
        attack = ATTACKS.get(member.attack)
        params = attack(**member.params).params.model_dump()
        resolved.append((member.attack, attack.version, params, member.budget))
        assert set(member.params) == set(params), "a default that changes would change the suite"
    assert resolved == CONTENTS[str(suite)]
    assert suite.ray_steps == 12
    assert (suite.rounds, suite.smoothed) == ROUNDS.get(suite.name, (1, False))
    assert suite.checks == CHECKS.get(suite.name, ())


@pytest.mark.parametrize("suite", SUITES.values(), ids=str)
def test_members_are_marked_for_what_they_are(suite: AttackSuite) -> None:
    blind = {"hopskipjump", "nearest-other-class", "transfer"}
    for member in suite.members:
        assert member.is_gradient_free is (member.attack in blind)
        assert member.is_refinement is member.key.startswith("refinement")
        doubled = ATTACKS.get(member.attack)(**{**member.params, **member.doubled})
        if member.doubled:
            assert doubled.params.steps == 2 * member.params["steps"]


def test_versions_by_name() -> None:
    assert suite_version("l2-quick") == attack_suite("l2-quick").version == 2
    with pytest.raises(UnknownNameError, match="did you mean 'l2-quick'"):
        suite_version("l2-quik")


def test_members_need_names_of_their_own() -> None:
    with pytest.raises(InputError, match="at least one"):
        AttackSuite("mine", 1, ())
    with pytest.raises(InputError, match=r"\['ddn', 'ddn'\]"):
        AttackSuite("mine", 1, (Member("ddn"), Member("ddn", {"targets": 3})))
    two = AttackSuite("mine", 1, (Member("ddn"), Member("ddn", {"targets": 3}, label="ddn-3")))
    assert [member.key for member in two.members] == ["ddn", "ddn-3"]

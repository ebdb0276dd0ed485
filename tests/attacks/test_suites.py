"""Suites are frozen: a changed default must become a new version."""

from __future__ import annotations

import pytest

from robench.attacks import ATTACKS
from robench.attacks.suites import SUITES, AttackSuite, Member, attack_suite, suite_version
from robench.errors import InputError, UnknownNameError

DEEPFOOL = {"classes": 10, "overshoot": 0.02}
DDN = {"gamma": 0.05, "initial_norm": 1.0}
CONTENTS = {
    "l2-quick/1": [
        ("deepfool", 1, {"steps": 50, **DEEPFOOL}),
        ("ddn", 1, {"steps": 100, "targets": 3, **DDN}),
        ("nearest-other-class", 1, {"candidates": 10, "steps": 15}),
    ],
    "l2-smoke/1": [
        ("deepfool", 1, {"steps": 20, **DEEPFOOL}),
        ("ddn", 1, {"steps": 20, "targets": 0, **DDN}),
    ],
}
"""Never edit an entry; add one for each new version."""


@pytest.mark.parametrize("suite", SUITES.values(), ids=str)
def test_a_version_always_means_the_same(suite: AttackSuite) -> None:
    resolved = []
    for member in suite.members:
        attack = ATTACKS.get(member.attack)
        params = attack(**member.params).params.model_dump()
        resolved.append((member.attack, attack.version, params))
        assert set(member.params) == set(params), "a default that changes would change the suite"
    assert resolved == CONTENTS[str(suite)]
    assert suite.ray_steps == 12


def test_versions_by_name() -> None:
    assert suite_version("l2-quick") == attack_suite("l2-quick").version == 1
    with pytest.raises(UnknownNameError, match="did you mean 'l2-quick'"):
        suite_version("l2-quik")


def test_members_need_names_of_their_own() -> None:
    with pytest.raises(InputError, match="at least one"):
        AttackSuite("mine", 1, ())
    with pytest.raises(InputError, match=r"\['ddn', 'ddn'\]"):
        AttackSuite("mine", 1, (Member("ddn"), Member("ddn", {"targets": 3})))
    two = AttackSuite("mine", 1, (Member("ddn"), Member("ddn", {"targets": 3}, label="ddn-3")))
    assert [member.key for member in two.members] == ["ddn", "ddn-3"]

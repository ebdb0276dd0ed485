"""A short suite and the report of it that the tests of reports share."""

from __future__ import annotations

import pytest

from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.report import AttackReport
from robench.attacks.suite.suites import AttackSuite, Member


@pytest.fixture(scope="session")
def two_attacks() -> AttackSuite:
    """DeepFool and DDN, with the check against random noise."""
    return AttackSuite(
        "mine",
        1,
        (
            Member("deepfool", {"steps": 10}, budget=110),
            Member("ddn", {"steps": 10}, budget=20),
        ),
        checks=("noise",),
    )


@pytest.fixture(scope="session")
def report(digits, two_attacks: AttackSuite) -> AttackReport:
    """What that suite finds on 40 digits."""
    return minimal_l2(digits.model, digits.images[:40], digits.labels[:40], two_attacks)

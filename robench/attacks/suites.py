"""Frozen, versioned suites of attacks: nobody tunes an attack for a network.

A figure belongs to a suite *and its version*. What a suite contains never changes under a version;
a stronger suite is a new version, and can only lower distances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from robench.errors import InputError, UnknownNameError

__all__ = ["SUITES", "AttackSuite", "Member", "attack_suite", "suite_version"]


@dataclass(frozen=True)
class Member:
    """One attack of a suite.

    Attributes:
        attack: its name, as in ``robench list attacks``.
        params: the parameters that differ from its defaults.
        label: its name within the suite; `None` is the attack's.
    """

    attack: str
    params: Mapping[str, object] = field(default_factory=dict)
    label: str | None = None

    @property
    def key(self) -> str:
        """The name within the suite."""
        return self.label or self.attack


@dataclass(frozen=True)
class AttackSuite:
    """Attacks whose closest verified adversarial counts.

    Attributes:
        name: without the version.
        version: a whole number from 1; see the module.
        members: each is followed by a bisection along the ray to the image.
        ray_steps: halvings of that bisection.
    """

    name: str
    version: int
    members: tuple[Member, ...]
    ray_steps: int = 12

    def __post_init__(self) -> None:
        keys = [member.key for member in self.members]
        if not keys or len(set(keys)) < len(keys):
            raise InputError(
                f"the attack suite {self.name!r} has the members {keys}",
                allowed="at least one, each with a name of its own",
                hint="give the second of two like attacks a `label`",
            )

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


_L2_QUICK = AttackSuite(
    name="l2-quick",
    version=1,
    members=(
        Member("deepfool", {"steps": 50, "classes": 10, "overshoot": 0.02}),
        Member("ddn", {"steps": 100, "targets": 3, "gamma": 0.05, "initial_norm": 1.0}),
        Member("nearest-other-class", {"candidates": 10, "steps": 15}),
    ),
)
"""About 850 passes an image. Version 1 has no augmented-Lagrangian attack (ALMA, Rony et al. 2021,
arXiv 2011.11857): for networks with discontinuous activations its distances are upper bounds that
a later version will lower."""

_L2_SMOKE = AttackSuite(
    name="l2-smoke",
    version=1,
    members=(
        Member("deepfool", {"steps": 20, "classes": 10, "overshoot": 0.02}),
        Member("ddn", {"steps": 20, "targets": 0, "gamma": 0.05, "initial_norm": 1.0}),
    ),
)
"""Shows that everything runs; its distances are not to be published."""

SUITES: Mapping[str, AttackSuite] = MappingProxyType(
    {suite.name: suite for suite in (_L2_QUICK, _L2_SMOKE)}
)
"""Every attack suite by name, at its newest version."""


def attack_suite(name: str) -> AttackSuite:
    """The attack suite of that name.

    Raises:
        UnknownNameError: there is none; shows the nearest names.
    """
    if name not in SUITES:
        raise UnknownNameError("attack suite", name, SUITES)
    return SUITES[name]


def suite_version(name: str) -> int:
    """The version of the attack suite of that name, which belongs into the id of a cell.

    Raises:
        UnknownNameError: there is none; shows the nearest names.
    """
    return attack_suite(name).version

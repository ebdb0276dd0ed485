"""Frozen, versioned suites of attacks: no attack is tuned for a network.

A figure belongs to a suite *and its version*. What a suite contains never changes under a version;
a stronger suite is a new version, and can only lower distances. Query budgets are hard limits. A
pass is one forward or one backward pass of one image through one network; a Jacobian of C - 1 rows
counts as C - 1 backward passes.

``l2-quick``, ``l2-std`` and ``l2-full`` are nested: a longer one runs the shorter one first, as it
would run by itself, and so never reports a longer distance for the same images, seed and batches.
Gradient-based attacks run once more for each surrogate that a network offers (BPDA), see
`robench.attacks.core.surrogates`. Means of the passes that an image cost, on eight networks of
digits and MNIST, robust ones among them (ten classes, checks not counted):

=========  ==============================  =====================================
suite      without surrogates                   one surrogate (sign, k-winners-take-all)
=========  ==============================  =====================================
l2-quick   1,730 to 1,740                  3,900 to 6,300
l2-std     5,680 to 5,770                  13,200 to 18,500
=========  ==============================  =====================================

The checks of ``l2-std`` and ``l2-full`` attack some of the images again, see
`robench.attacks.suite.checks`: three times the passes of the suite for each image that is checked,
which is one in sixteen of many images, and 32 of few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from robench.errors import InputError, UnknownNameError

__all__ = ["SUITES", "AttackSuite", "Check", "Member", "attack_suite", "suite_version"]

Check = Literal["converge", "noise", "seeds"]
"""Flags that need attacks of their own, on some of the images."""


@dataclass(frozen=True)
class Member:
    """One attack of a suite.

    Attributes:
        attack: its name, as in ``robench list attacks``.
        params: the parameters that differ from its defaults.
        label: its name within the suite; `None` is the attack's.
        budget: forward and backward passes that one image may cost; `None` for no limit.
        is_gradient_free: whether it uses no gradient, so that it runs once, without surrogates.
        is_refinement: whether it runs last, from the closest adversarials of all other attacks.
        doubled: parameters that make it twice as long, for the check of convergence.
    """

    attack: str
    params: Mapping[str, object] = field(default_factory=dict)
    label: str | None = None
    budget: int | None = None
    is_gradient_free: bool = False
    is_refinement: bool = False
    doubled: Mapping[str, object] = field(default_factory=dict)

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
        rounds: how often the members that follow gradients run, at least. They follow the network's
            own gradient, and then that of each surrogate that it offers: k of them cost k times as
            much.
            What rounds are left are restarts from random points, so that an ordinary network is
            attacked as often as one that offers surrogates.
        smoothed: whether the smoothed gradient of a network that offers surrogates is followed
            as well.
        checks: flags that need attacks of their own.
        extends: a shorter suite, whose members are the first ones here. It runs first, and as it
            would by itself, refinement included, so that no distance is longer than its own.
    """

    name: str
    version: int
    members: tuple[Member, ...]
    ray_steps: int = 12
    rounds: int = 1
    smoothed: bool = False
    checks: tuple[Check, ...] = ()
    extends: AttackSuite | None = None

    def __post_init__(self) -> None:
        self._check_names()
        self._check_nesting()

    def _check_names(self) -> None:
        keys = [member.key for member in self.members]
        if not keys or len(set(keys)) < len(keys):
            raise InputError(
                f"the attack suite {self.name!r} has the members {keys}",
                allowed="at least one, each with a name of its own",
                hint="give the second of two like attacks a `label`",
            )

    def _check_nesting(self) -> None:
        base = self.extends
        if base is None:
            return
        is_nested = (
            self.members[: len(base.members)] == base.members
            and self.ray_steps == base.ray_steps
            and self.rounds >= base.rounds
            and self.smoothed >= base.smoothed
        )
        if not is_nested:
            raise InputError(
                f"the attack suite {self.name!r} does not contain {str(base)!r}, which it extends",
                allowed="its members first, its ray_steps, and at least its rounds and smoothed",
            )

    @property
    def levels(self) -> tuple[AttackSuite, ...]:
        """The suites that this one contains, the shortest first, and itself."""
        return (self,) if self.extends is None else (*self.extends.levels, self)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


_LINEAR = {"classes": 10, "overshoot": 0.02, "steepening": 2.0}


def _deepfool(steps: int) -> Member:
    return Member("deepfool", {"steps": steps, **_LINEAR}, budget=11 * steps)


def _superdeepfool() -> Member:
    return Member("superdeepfool", {"rounds": 20, "steps": 20, **_LINEAR}, budget=600)


def _ddn(steps: int, targets: int) -> Member:
    params = {"steps": steps, "targets": targets, "gamma": 0.05, "initial_norm": 1.0}
    budget = 2 * steps * max(targets, 1)
    return Member("ddn", params, budget=budget, doubled={"steps": 2 * steps})


def _alma(steps: int, targets: int, label: str | None = None) -> Member:
    params = {"steps": steps, "targets": targets, "alpha": 0.9, "first_step": 1.0}
    budget = 2 * steps * max(targets, 1)
    return Member("alma", params, label, budget, doubled={"steps": 2 * steps})


def _fab() -> Member:
    walk = {"first_share": 1.0, "last_share": 0.3, "overshoot": 0.01}
    params = {"steps": 8, "targets": 9, **walk}
    return Member("fab", params, budget=153, doubled={"steps": 16})


def _apgd() -> Member:
    params = {"steps": 20, "bisections": 10, "targets": 0, "momentum": 0.75}
    return Member("apgd", params, budget=450, doubled={"steps": 40})


def _fmn() -> Member:
    params = {"steps": 100, "step_length": 1.0, "gamma": 0.05, "targets": 0, "start": "adversarial"}
    return Member("fmn", params, budget=220, doubled={"steps": 200})


def _nearest() -> Member:
    params = {"candidates": 10, "steps": 15}
    return Member("nearest-other-class", params, budget=160, is_gradient_free=True)


def _hopskipjump() -> Member:
    own = {"growth": 0.5, "reach": None, "momentum": 0.0, "patience": 20}
    params = {"steps": 20, "probes": 50, **own}
    return Member("hopskipjump", params, budget=3700, is_gradient_free=True)


def _refinement(
    label: str, steps: int, probes: int, patience: int, budget: int, reach: float = 0.06
) -> Member:
    # A second one looks closer, with more probes: as the first did, it would soon be idle.
    walk = {"growth": 1.0, "reach": reach, "momentum": 0.5, "patience": patience}
    return Member(
        "hopskipjump",
        {"steps": steps, "probes": probes, **walk},
        label,
        budget,
        is_gradient_free=True,
        is_refinement=True,
        doubled={"steps": 2 * steps},
    )


_L2_SMOKE = AttackSuite(name="l2-smoke", version=2, members=(_deepfool(20), _ddn(20, targets=0)))
"""Shows that everything runs; its distances are not to be published."""

_L2_QUICK = AttackSuite(
    name="l2-quick",
    version=2,
    members=(
        _deepfool(50),
        _alma(300, targets=0),
        _alma(100, targets=3, label="alma-targeted"),
        _fab(),
        _nearest(),
        _refinement("refinement", steps=30, probes=5, patience=5, budget=2700),
    ),
)
"""For a first look, and for many networks. The refinement soon ends where the boundary is smooth,
after 140 passes; where activations jump it takes up to 2,650."""

_L2_STD = AttackSuite(
    name="l2-std",
    version=2,
    extends=_L2_QUICK,
    members=(
        *_L2_QUICK.members,
        _superdeepfool(),
        _alma(1000, targets=0, label="alma-long"),
        _alma(200, targets=3, label="alma-targeted-long"),
        _apgd(),
        _refinement("refinement-2", steps=30, probes=20, patience=5, budget=4600, reach=0.03),
    ),
    checks=("converge", "noise", "seeds"),
)
"""For leaderboards."""

_L2_FULL = AttackSuite(
    name="l2-full",
    version=2,
    extends=_L2_STD,
    members=(
        *_L2_STD.members,
        _alma(100, targets=9, label="alma-targeted-wide"),
        _ddn(100, targets=9),
        _fmn(),
        _hopskipjump(),
        Member("transfer", {"steps": 12}, budget=18, is_gradient_free=True),
        _refinement("refinement-3", steps=30, probes=40, patience=5, budget=11_000, reach=0.015),
    ),
    rounds=4,
    smoothed=True,
    checks=("converge", "noise", "seeds"),
)
"""For networks whose flags are raised, and whoever doubts: four rounds at least, restarts for an
ordinary network, and what another network's adversarials do, where they are given."""

SUITES: Mapping[str, AttackSuite] = MappingProxyType(
    {suite.name: suite for suite in (_L2_SMOKE, _L2_QUICK, _L2_STD, _L2_FULL)}
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

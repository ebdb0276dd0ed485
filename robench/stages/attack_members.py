"""What each attack did by itself: the members of a suite, and guests beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from robench.attacks.evaluation.optimality import optimality
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member
from robench.errors import AttackError, RobenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.attacks.suite.report import AttackReport, MemberReport
    from robench.stages.declarations.attack import ResolvedAttack

__all__ = ["MemberLine", "guests", "members"]


@dataclass(frozen=True, eq=False)
class MemberLine:
    """One line of the attack board.

    Attributes:
        distance: what it found by itself, after bisection along the ray, float64 [N].
        told: plain data for the record. ``wins`` is the share of the images put in their class for
            which it came closest, of a guest that for which it came closer than the whole suite;
            ``optimality`` is that of `robench.attacks.evaluation.optimality` against the suite, so
            that a guest which beats it has more than 1.
    """

    distance: Tensor
    told: dict[str, object]


def members(report: AttackReport) -> dict[str, MemberLine]:
    """A line for each run of the suite, by its key."""
    return {
        key: _line(member, report, is_guest=False, wins=member.wins, closeness=member.optimality)
        for key, member in report.attacks.items()
    }


def guests(
    asked: Sequence[ResolvedAttack],
    report: AttackReport,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    references: Tensor,
) -> dict[str, MemberLine]:
    """Run attacks beside a suite; nothing of what they find enters the report.

    Each may cost an image as many passes as the whole suite, and what it finds is bisected and
    verified in the same way. One that fails is a line that says so.

    Args:
        asked: the guests.
        report: of the suite, for the same network and images.
        network: see `minimal_l2`, as are the others.
        images: [N, ...].
        labels: [N].
        references: [M, ...].
    """
    found: dict[str, MemberLine] = {}
    for guest in asked:
        key = guest.label
        while key in report.attacks or key in found:
            key += " (guest)"
        suite = AttackSuite(
            name="guests",
            version=1,
            members=(Member(guest.name, guest.params, label=key, budget=report.allowed),),
        )
        try:
            alone = minimal_l2(
                network,
                images,
                labels,
                suite=suite,
                seed=report.seed,
                references=references,
                progress=False,
            )
        except RobenchError as error:
            found[key] = _failed(guest, report, error)
        else:
            found[key] = _guest_line(alone, key, report)
    return found


def _guest_line(alone: AttackReport, key: str, report: AttackReport) -> MemberLine:
    # Verified like the suite's own distances, so that a closer point is a closer adversarial.
    distance, correct = alone.distance, report.correct
    wins = (distance < report.distance)[correct].double().mean().item() if correct.any() else None
    closeness = optimality(distance, report.distance, correct)
    return _line(alone.attacks[key], report, is_guest=True, wins=wins, closeness=closeness)


def _line(
    member: MemberReport,
    report: AttackReport,
    *,
    is_guest: bool,
    wins: float | None,
    closeness: float | None,
) -> MemberLine:
    distance = member.distance_on_ray
    kept = distance[report.correct]
    median = kept.quantile(0.5, interpolation="lower").item() if len(kept) else math.inf
    told = {
        "attack": member.attack,
        "version": member.version,
        "params": dict(member.params),
        "view": member.view,
        "guest": is_guest,
        "wins": wins,
        "optimality": closeness,
        "median_l2": median if math.isfinite(median) else None,
        "success": kept.isfinite().double().mean().item() if len(kept) else None,
        "passes": _mean(member.passes, report.correct),
        "forwards": _mean(member.forwards, report.correct),
        "backwards": _mean(member.backwards, report.correct),
        "allowed": member.allowed,
        "seconds": member.seconds,
        "out_of_bounds": member.out_of_bounds,
        "error": member.error,
    }
    return MemberLine(distance, told)


def _failed(guest: ResolvedAttack, report: AttackReport, error: RobenchError) -> MemberLine:
    told: dict[str, object] = {
        "attack": guest.name,
        "version": guest.version,
        "params": guest.params,
        "guest": True,
        "error": error.what if isinstance(error, AttackError) else f"could not run: {error.what}",
    }
    return MemberLine(torch.full_like(report.distance, torch.inf), told)


def _mean(passes: Tensor, correct: Tensor) -> float | None:
    """Over the images that were attacked at all."""
    return passes[correct].double().mean().item() if correct.any() else None
